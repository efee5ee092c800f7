// The card that closes this page's socket for a while, and tells what was missed and came when it was back.

import { $, count, h, span } from './dom.js';

const SETTLE = 300; // so that a screen reader hears the numbers once, not each of them

export class Outage {
  #cut; #restore; #committed; #user;
  #state = ''; #since = 0; #length = 0; #timer = 0; #settle = 0; #turn = 0;
  #before = null; #meanwhile = null; #missed = 0; #again = 0; #afresh = '';

  // cut() closes the socket, restore() opens another; committed() is async and tells how many row changes the database
  // has committed so far, or null.
  constructor({ cut, restore, committed }) {
    this.#cut = cut;
    this.#restore = restore;
    this.#committed = committed;
    $('outage-cut').addEventListener('click', () => (this.#state === 'offline' ? this.#restore() : this.#cut()));
  }

  // show starts afresh for a user.
  show(user) {
    this.#user = user;
    this.#state = '';
    this.#away(0);
    this.#clear();
    $('outage-hint').textContent = `Close ${user.first}’s connection while everybody works on. `
      + 'What happens meanwhile comes when it is back, each change once.';
  }

  // state follows the connection; an outage begins and ends with it, whoever closed it.
  state(state) {
    if (this.#state === 'live' && state !== 'live') this.#begin();
    if (this.#since && state === 'live') this.#end();
    this.#state = state;
    const off = state === 'offline';
    $('outage-cut').disabled = !off && state !== 'live';
    $('outage-cut').classList.toggle('primary', off);
    $('outage-icon').setAttribute('href', off ? '#i-plug' : '#i-unplug');
    $('outage-label').textContent = off ? 'Go online again' : 'Go offline';
  }

  event({ missed }) {
    if (!missed) return;
    this.#missed++;
    this.#tell();
  }

  // again counts an event that the page had already.
  again() {
    this.#again++;
    this.#tell();
  }

  // afresh takes the reason for which the page had to fetch everything again.
  afresh(text) {
    this.#afresh = text;
    this.#tell();
  }

  #clear() {
    this.#turn++;
    clearTimeout(this.#settle);
    this.#length = this.#missed = this.#again = 0;
    this.#before = this.#meanwhile = null;
    this.#afresh = '';
    $('outage-trace').replaceChildren();
  }

  #begin() {
    this.#clear();
    this.#away(performance.now());
    this.#count();
    this.#draw();
  }

  #end() {
    this.#length = performance.now() - this.#since;
    this.#away(0);
    this.#count();
    this.#tell();
  }

  // #count asks how much was committed since the outage began.
  async #count() {
    const turn = this.#turn;
    const total = await this.#committed();
    if (total === null || turn !== this.#turn) return;
    this.#before ??= total;
    this.#meanwhile = total - this.#before;
    if (this.#since) this.#draw();
    else this.#tell();
  }

  #away(since) {
    this.#since = since;
    clearInterval(this.#timer);
    if (since) this.#timer = setInterval(() => this.#count().then(() => this.#since && this.#draw()), 1000);
    $('outage-away').hidden = !since;
  }

  #draw() {
    const seconds = Math.floor((performance.now() - this.#since) / 1000);
    const changes = this.#meanwhile === null ? ''
      : ` The database has committed ${count(this.#meanwhile)} ${this.#meanwhile === 1 ? 'change' : 'changes'} since.`;
    $('outage-away').textContent = `Nothing has reached this page for ${count(seconds)} s.${changes}`;
  }

  #tell() {
    clearTimeout(this.#settle);
    if (this.#length) this.#settle = setTimeout(() => this.#report(), SETTLE);
  }

  #report() {
    const line = (look, text, value) => h(`li.${look}`, {}, text, value && h('time', {}, value));
    const lines = [line('done', 'Back online, away for', span(this.#length))];
    if (this.#meanwhile) lines.push(line('none', 'Committed meanwhile, by everybody', count(this.#meanwhile)));
    if (this.#missed) lines.push(line('done', 'Missed here and sent now, each once', count(this.#missed)));
    else if (!this.#afresh) lines.push(line('none', `None of it was ${this.#user.first}’s to see`));
    if (this.#afresh) lines.push(line('wrong', this.#afresh));
    if (this.#again) lines.push(line('none', 'Sent a second time and left out', count(this.#again)));
    $('outage-trace').replaceChildren(...lines);
  }
}
