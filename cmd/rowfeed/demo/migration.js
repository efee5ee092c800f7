// The card that alters a watched table of the ERP while it is written to, and tells what comes of it: the write went
// through, the drift was found, the page heard of it; then it has migrate up run, and is told once more.

import { $, h, now, span, step, time } from './dom.js';

const PATIENCE = 60_000; // for the bridge to find it, and to say so
const LOOK = 250;
const ECHO = 20_000; // it is told once more when all has ended that was under way
const WORDS = /(ALTER TABLE|ALTER COLUMN|TYPE)|(\b\d+\b)/;

export class Migration {
  #look; #run;
  #state = null; #stage = 0; #busy = false; #connected = false; #heard = 0; #ended = 0;

  // look() tells how the table stands; run(name) does a step, "alter" or "up": both are async.
  constructor({ look, run }) {
    this.#look = look;
    this.#run = run;
    $('migration-run').addEventListener('click', () => this.#press());
  }

  // show starts afresh for a user.
  show() {
    this.#stage++;
    this.#busy = false;
    $('migration-trace').replaceChildren();
  }

  // load takes how the table stands.
  load(state) {
    if (this.#busy) return;
    this.#state = state;
    this.#draw();
  }

  // state takes the state of the connection.
  state(state) {
    this.#connected = state === 'live';
    this.#draw();
  }

  // tells says whether this card tells what becomes of the table: then nothing else has to.
  get tells() { return this.#busy || Boolean(this.#state?.altered) || now() < this.#ended + ECHO; }

  // heard takes the moment at which the bridge said that a table has drifted, or no longer has.
  heard(at) { this.#heard = at; }

  #draw() {
    const state = this.#state;
    if (!state) return;
    $('migration-run').disabled = this.#busy || !this.#connected;
    $('migration-run').classList.toggle('primary', state.altered);
    $('migration-label').textContent = state.altered ? 'Run rowfeed migrate up' : 'Alter the table';
    $('migration-away').hidden = !state.altered;
    $('migration-away').textContent = 'The table is not as the triggers were made for it. The ERP works on as ever; what '
      + 'can’t be told truthfully comes as resync.';
    if (!this.#busy && !$('migration-trace').childElementCount) {
      this.#statement('The button runs this', state.altered ? 'rowfeed migrate up' : state.statement);
    }
  }

  #statement(comment, sql) {
    const parts = sql.split(WORDS).filter(Boolean).map((part) => (/^\d+$/.test(part) ? h('span', {}, part)
      : WORDS.test(part) ? h('b', {}, part) : part));
    $('migration-statement').replaceChildren(h('i', {}, `-- ${comment}\n`), ...parts);
  }

  // #press does the step that is next, and tells what comes of it.
  async #press() {
    const stage = ++this.#stage;
    const up = this.#state.altered;
    const trace = $('migration-trace');
    const pressed = now();
    this.#busy = true;
    this.#draw();
    this.#statement('Running', up ? 'rowfeed migrate up' : this.#state.statement);
    trace.replaceChildren(h('li.now', {}, 'Sent to PostgreSQL'));
    const done = await this.#run(up ? 'up' : 'alter') ?? { error: 'The demo server does not answer: is it still running?' };
    if (stage !== this.#stage) return;
    if (done.error) trace.replaceChildren(h('li.wrong', {}, done.error));
    else {
      this.#statement(`Ran at ${time(new Date())}`, done.statement);
      trace.replaceChildren(step('done', up ? 'Triggers installed anew' : 'Table altered', done.ms),
        step('done', 'The ERP’s next UPDATE went through', done.write_ms));
      await this.#follow(stage, done.at, pressed, up);
    }
    if (stage !== this.#stage) return;
    this.#busy = false;
    this.#ended = now();
    this.#state = await this.#look() ?? this.#state;
    this.#draw();
  }

  // #follow waits until the bridge has found how the table stands, and has told this page.
  async #follow(stage, at, pressed, up) {
    const found = await this.#until(stage, up ? 'Waiting for the bridge to see it' : 'Waiting for the bridge to find it',
      async () => (await this.#look())?.found === !up);
    if (!found) return;
    found.replaceWith(step('done', up ? 'The bridge sees that all is well' : 'The bridge has found the drift',
      Math.max(0, now() - at)));
    const told = await this.#until(stage, h('span', {}, 'Waiting for ', h('code', {}, 'resync')), () => this.#heard >= pressed);
    if (!told) return;
    told.replaceWith(step('done', h('span', {}, 'Heard ', h('code', {}, 'resync'), ': fetched afresh'),
      Math.max(0, this.#heard - at)));
  }

  // #until shows a line while it waits; it gives null where that was in vain.
  async #until(stage, text, test) {
    const line = h('li.now', {}, text);
    $('migration-trace').append(line);
    for (const end = now() + PATIENCE; now() < end;) {
      if (await test()) return stage === this.#stage ? line : null;
      await new Promise((resolve) => { setTimeout(resolve, LOOK); });
      if (stage !== this.#stage) return null;
    }
    line.replaceWith(h('li.wrong', {}, `Nothing came within ${span(PATIENCE)}: is the bridge connected?`));
    return null;
  }
}
