// The card that takes away what lets a person see others' rows, and tells what comes of it: rows go from the page, and
// the feed goes quiet about them.

import { $, count, h, now, span, step, time } from './dom.js';

const PATIENCE = 15_000; // for the bridge to say that what one may see has changed
const LOOK = 1000;
const WORDS = /(DELETE FROM|INSERT INTO|WHERE|AND|VALUES)|(\b\d+\b)/;

export class Rights {
  #turn; #unseen; #visit; #changed; #look;
  #user; #others = []; #rights = []; #switches = new Map(); #drawn = false; #connected = false;
  #stage = 0; #busy = false; #late = null; // the switch that turns: what was loaded meanwhile waits
  #telling = false; #heard = 0; #told = () => {}; #afresh = () => {};
  #stay = null; // {name, end}: the visit that holds what this page takes away
  #timer = 0; #quiet = false; #hidden = new Set(); #known = 0; #total = 0; #came = new Set();

  // turn(right, held, visit) gives or takes a right; unseen(from) tells what was committed that the person may no
  // longer see; visit(signal) opens what a right that is taken away belongs to, and gives its name and a promise of its
  // end: all are async. changed(rights) hears what the person has; look(user) shows another person.
  constructor({ turn, unseen, visit, changed, look }) {
    this.#turn = turn;
    this.#unseen = unseen;
    this.#visit = visit;
    this.#changed = changed;
    this.#look = look;
    addEventListener('pagehide', () => this.#leave());
  }

  // show starts afresh for a user; others are the people whom the page can show.
  show(user, others) {
    this.#leave();
    this.#stage++;
    this.#user = user;
    this.#others = others;
    this.#rights = [];
    this.#switches.clear();
    this.#drawn = this.#busy = this.#telling = this.#quiet = false;
    this.#heard = 0;
    $('rights-trace').replaceChildren();
    $('rights-list').replaceChildren();
    $('rights-hint').textContent = $('rights-statement').textContent = '';
    this.#follow();
  }

  // load takes what the ERP says that the person has. While a switch turns it waits.
  load(rights) {
    this.#late = this.#busy ? rights : null;
    if (this.#busy) return;
    this.#rights = rights;
    if (!this.#drawn) {
      this.#arrange();
      this.#quiet = this.#away().length > 0;
    }
    this.#drawn = true;
    this.#changed(rights);
    this.#draw();
  }

  // state takes the state of the connection: what it is to tell of a switch it can tell only while it is there.
  state(state) {
    this.#connected = state === 'live';
    this.#draw();
  }

  // tells says whether this card tells what is happening to the rights: then nothing else has to.
  get tells() { return this.#telling; }

  // heard takes the moment at which the bridge said that what one may see has changed.
  heard(at) {
    this.#heard = at;
    this.#quiet = this.#away().length > 0;
    this.#told();
  }

  // fetched takes what became of the page: how many rows went and came, and how long the fetch took in ms.
  fetched(result) { this.#afresh(result); }

  // event notes what came although rights are away.
  event({ txid, resource }) {
    if (this.#quiet) this.#came.add(`${txid} ${resource}`);
  }

  #away() { return this.#rights.filter(({ held }) => !held); }

  #arrange() {
    const { first } = this.#user;
    const some = this.#rights.length > 0;
    $('rights-hint').textContent = some
      ? `What lets ${first} see others’ rows. A switch runs one plain statement as the ERP; what is off comes back `
        + 'when you leave.'
      : `${first} has none: no group, no warehouse, only what ${first} filed. Look on as somebody who has.`;
    $('rights-statement').hidden = !some;
    $('rights-list').replaceChildren(...(some ? this.#rights.map((right) => this.#switch(right)) : [this.#people()]));
    if (some) this.#statement('A switch runs this', this.#rights[0].take);
  }

  #people() {
    const choices = this.#others.filter((one) => one.decides || one.warehouses.length);
    return h('li.choices', {}, choices.map((one) => h('button.button', { type: 'button',
      onclick: () => this.#look(one) }, one.name)));
  }

  #switch({ id, label, sees }) {
    const input = h('input.toggle', { type: 'checkbox', role: 'switch', id: `right-${id}`,
      'aria-labelledby': `right-${id}-label`, 'aria-describedby': `right-${id}-sees` });
    input.addEventListener('click', (click) => {
      if (this.#busy || !this.#connected) click.preventDefault();
    });
    input.addEventListener('change', () => this.#press(id, input.checked));
    this.#switches.set(id, input);
    return h('li', {}, h('label', {}, h('span', {}, h('b', { id: `right-${id}-label` }, label),
      h('small', { id: `right-${id}-sees` }, sees)), input));
  }

  #draw() {
    if (!this.#drawn) return;
    for (const { id, held } of this.#rights) {
      const input = this.#switches.get(id);
      input.checked = held;
      input.setAttribute('aria-disabled', String(this.#busy || !this.#connected));
    }
    this.#follow();
  }

  #statement(comment, sql) {
    const parts = sql.split(WORDS).filter(Boolean).map((part) => (/^\d+$/.test(part) ? h('span', {}, part)
      : WORDS.test(part) ? h('b', {}, part) : part));
    $('rights-statement').replaceChildren(h('i', {}, `-- ${comment}\n`), ...parts);
  }

  // #press runs the statement and tells step by step what comes of it.
  async #press(id, held) {
    const stage = ++this.#stage;
    const trace = $('rights-trace');
    const pressed = now();
    const right = this.#rights.find((one) => one.id === id);
    this.#busy = this.#telling = true;
    right.held = held;
    this.#draw();
    this.#statement('Running', held ? right.give : right.take);
    trace.replaceChildren(h('li.now', {}, 'Sent to PostgreSQL'));
    const heard = this.#news(stage, pressed);
    const done = await this.#run(id, held);
    if (stage !== this.#stage) return;
    this.#busy = false;
    if (done.error) right.held = !held;
    this.#draw();
    if (this.#late) this.load(this.#late);
    if (done.error) {
      this.#telling = false;
      return trace.replaceChildren(h('li.wrong', {}, done.error));
    }
    this.#statement(`Ran at ${time(new Date())}`, done.statement);
    const last = h('li.now', {}, 'Waiting for the bridge');
    trace.replaceChildren(step('done', `Committed, ${done.rows === 1 ? '1 row' : `${done.rows} rows`}`, done.ms), last);
    await this.#report(heard, done, last);
    if (stage === this.#stage) this.#telling = false;
  }

  async #run(id, held) {
    const stay = this.#stay ??= this.#open();
    return await this.#turn(id, held, await stay.name)
      ?? { error: 'The demo server does not answer: is it still running?' };
  }

  // #open begins a visit; when it ends of itself the next switch begins another.
  #open() {
    const control = new AbortController();
    const opened = this.#visit(control.signal);
    const stay = { name: opened.then((visit) => visit?.name ?? ''), end: () => control.abort() };
    opened.then((visit) => visit?.ended).then(() => { if (this.#stay === stay) this.#stay = null; });
    return stay;
  }

  #leave() {
    this.#stay?.end();
    this.#stay = null;
  }

  // #news gives two promises: of the moment of the first word from the bridge since pressed, and of what the fetch that
  // follows it changed.
  #news(stage, pressed) {
    const within = (begin) => new Promise((resolve) => {
      setTimeout(resolve, PATIENCE, null);
      begin((value) => stage === this.#stage && resolve(value));
    });
    return {
      word: within((resolve) => { this.#told = () => this.#heard >= pressed && resolve(this.#heard); }),
      fetch: within((resolve) => { this.#afresh = resolve; }),
    };
  }

  async #report({ word, fetch }, { at, held }, last) {
    const heard = await word;
    if (!last.isConnected) return;
    if (heard === null) return last.replaceWith(h('li.wrong', {}, 'The bridge said nothing: is it connected?'));
    const text = h('span', {}, 'Heard ', h('code', {}, 'resync'), ': grants changed');
    const next = h('li.now', {}, 'Fetching the lists afresh');
    last.replaceWith(step('done', text, Math.max(0, heard - at)), next);
    const result = await fetch;
    if (!next.isConnected) return;
    if (result === null) return next.replaceWith(h('li.wrong', {}, 'The lists could not be fetched: reload the page'));
    const rows = held ? result.came : result.went;
    const what = `${count(rows)} ${rows === 1 ? 'row' : 'rows'} ${held ? 'came back' : 'went'}`;
    next.replaceWith(step('done', `Fetched afresh, ${what}`, result.ms));
  }

  // #follow counts, while a right is away, what the page is not sent.
  #follow() {
    const away = this.#away().length > 0;
    if (away && !this.#timer) this.#timer = setInterval(() => document.hidden || this.#count(), LOOK);
    if (away) return;
    clearInterval(this.#timer);
    this.#timer = this.#known = this.#total = 0;
    this.#quiet = false;
    this.#hidden.clear();
    this.#came.clear();
    $('rights-unseen').hidden = true;
  }

  async #count() {
    const stage = this.#stage;
    const answer = await this.#unseen(this.#known);
    if (!answer?.list || stage !== this.#stage || !this.#away().length) return;
    this.#known += answer.list.length;
    this.#total = answer.changes;
    for (const { txid, resource } of answer.list) this.#hidden.add(`${txid} ${resource}`);
    const arrived = [...this.#came].filter((key) => this.#hidden.has(key)).length;
    const changes = this.#total === 1 ? '1 change' : `${count(this.#total)} changes`;
    $('rights-unseen').textContent = `${changes} committed since then that ${this.#user.first} may no longer see: `
      + `${count(arrived)} arrived.`;
    $('rights-unseen').hidden = !this.#quiet;
  }
}
