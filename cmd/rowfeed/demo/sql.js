// The form that runs one plain UPDATE and follows what comes of it, from the click to this screen.

import { $, h, step, tabs, whyButton, words } from './dom.js';

// How long the page waits before it says that no event came: where none is due, and where one is.
const BRIEF = 2500;
const LONG = 15_000;

export class Sql {
  #run; #rows; #why; #user; #kind = 'requests'; #data = null; #events = []; #waiting = new Set();

  // rows() gives the rows to choose from, run(kind, id, value) executes; both are async. why(change) explains what
  // became of a change.
  constructor({ rows, run, why }) {
    this.#rows = rows;
    this.#run = run;
    this.#why = why;
    $('sql-form').addEventListener('submit', (submit) => {
      submit.preventDefault();
      this.#submit();
    });
  }

  show(user) {
    this.#user = user;
    this.#kind = user.role === 'clerk' ? 'stock' : 'requests';
    $('sql-trace').replaceChildren();
    $('sql-why').hidden = true;
    $('sql-statement').replaceChildren();
    if (this.#data) this.#draw();
  }

  // refresh fetches the rows to choose from.
  async refresh() {
    const user = this.#user;
    const data = await this.#rows();
    if (!data || user !== this.#user) return;
    const chosen = $('sql-row') && this.#row();
    const { rows } = data[this.#kind];
    if (chosen && !rows.some(({ id }) => id === chosen.id)) rows.unshift(chosen); // nothing moves under a hand
    this.#data = data;
    this.#draw();
  }

  // arrived takes each event with the moment at which it was on the screen.
  arrived(event, at) {
    this.#events.push({ event, at });
    if (this.#events.length > 100) this.#events.shift();
    for (const look of this.#waiting) look();
  }

  #draw() {
    tabs($('sql-tabs'), [['requests', 'A request'], ['stock', 'A stock level']], this.#kind, (kind) => {
      this.#kind = kind;
      this.#draw();
    });
    const chosen = this.#chosen();
    const { table, column, rows } = this.#data[this.#kind];
    const option = (row) => h('option', { value: row.id }, `${row.id}  ·  ${row.label}`);
    const mine = rows.filter((row) => row.seen_by.includes(this.#user.id));
    const others = rows.filter((row) => !row.seen_by.includes(this.#user.id));
    const groups = [[`${this.#user.first} may see`, mine], [`Not ${this.#user.first}’s to see`, others]]
      .filter(([, list]) => list.length).map(([label, list]) => h('optgroup', { label }, list.map(option)));
    const row = h('select.row', { id: 'sql-row', 'data-kind': this.#kind, 'aria-label': 'Row',
      onchange: () => this.#value() }, groups);
    const line = (...parts) => h('div.line', {}, ...parts);
    const b = (word) => h('b', {}, word);
    $('sql-statement').replaceChildren(
      line(b('UPDATE'), table),
      line(b('   SET'), `${column} =`, h('span', { id: 'sql-value' })),
      line(b(' WHERE'), 'id ='),
      line(row));
    if (rows.some(({ id }) => String(id) === chosen.row)) row.value = chosen.row;
    this.#value();
    if (row.value === chosen.row) this.#restore(chosen.value);
  }

  // #chosen is what the form holds of the kind that it is about to show.
  #chosen() {
    const row = $('sql-row');
    return row?.dataset.kind === this.#kind ? { row: row.value, value: $('sql-new').value } : {};
  }

  // #restore gives the visitor's own choice back after the rows were fetched afresh.
  #restore(value) {
    const { values } = this.#data[this.#kind];
    if (!values || values.includes(value)) $('sql-new').value = value;
  }

  #row() {
    const id = $('sql-row').value;
    return this.#data[this.#kind].rows.find((row) => String(row.id) === id);
  }

  // #value offers a new value that differs from the row's, so that the first click changes something.
  #value() {
    const row = this.#row();
    const { values } = this.#data[this.#kind];
    const label = { 'aria-label': 'New value', id: 'sql-new' };
    const control = values
      ? h('select', label, values.map((value) => h('option', { value, selected: value !== row.value
        && (value === 'approved' || row.value === 'approved' && value === 'rejected') }, `'${value}'`)))
      : h('input', { ...label, type: 'number', min: 0, max: 1_000_000, step: 1, required: true,
        value: Math.max(0, Number(row.value) - 7) || 25 });
    $('sql-value').replaceChildren(control);
  }

  async #submit() {
    const user = this.#user;
    const row = this.#row();
    const value = $('sql-new').value;
    const button = $('sql-run');
    button.disabled = true;
    const trace = $('sql-trace');
    const clicked = performance.now();
    trace.replaceChildren(h('li.now', {}, 'Sent to PostgreSQL'));
    $('sql-why').hidden = true;
    const { resource } = this.#data[this.#kind];
    const done = await this.#run(this.#kind, row.id, value);
    button.disabled = false;
    if (user !== this.#user) return;
    if (done.error) return trace.replaceChildren(h('li.wrong', {}, done.error));
    row.value = value;
    trace.replaceChildren(step('done', `Committed, ${done.rows === 1 ? '1 row' : `${done.rows} rows`}`, done.ms));
    if (!done.changed) {
      return trace.append(step('none', `It was ${words(value).toLowerCase()} already: nothing changed, so no event`));
    }
    await this.#follow(done, row, clicked, trace);
    if (user === this.#user) this.#offer({ resource, resource_id: row.id, txid: done.txid });
  }

  // #offer lets the visitor ask what became of the change.
  #offer(change) {
    const label = $('sql-why');
    label.replaceChildren(whyButton(() => this.#why(change)), 'Who was sent it, and who was not');
    label.hidden = false;
  }

  // #follow waits for the event of this very transaction, or says that none came.
  async #follow(done, row, clicked, trace) {
    const user = this.#user;
    const last = h('li.now', {}, 'Listening');
    trace.append(last);
    const due = row.seen_by.includes(user.id);
    const found = await this.#event(done.txid, row.id, due ? LONG : BRIEF);
    if (user !== this.#user || !last.isConnected) return;
    if (found) {
      last.replaceWith(step('done', 'On this screen', found.at - Date.parse(found.event.at)),
        step('done', 'Click to screen', Math.max(found.at - performance.timeOrigin - clicked, 0)));
    } else if (!due) {
      last.replaceWith(step('none', `Nothing was sent here: not ${user.first}’s row`));
    } else {
      last.replaceWith(h('li.wrong', {}, 'No event came: is the bridge connected?'));
    }
  }

  #event(txid, id, patience) {
    const find = () => this.#events.find(({ event }) => event.txid === txid
      && String(event.resource_id) === String(id));
    return new Promise((resolve) => {
      const end = (found) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(found);
      };
      const look = () => {
        const found = find();
        if (found) end(found);
      };
      const timer = setTimeout(() => end(find()), patience);
      this.#waiting.add(look);
      look();
    });
  }
}
