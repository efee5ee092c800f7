// The requests card: what one filed, or what waits for one's decision, with statuses that flip as they are committed.

import { $, ago, amount, arrange, blank, count, glide, h, icon, replay, tabs, words } from './dom.js';

const SHORT = 7;
const LINGER = 6000; // how long a decided request stays where it was, so that nothing moves under a pointer
const TONES = { pending: 'pending', submitted: 'pending', shipped: 'onward', approved: 'good', completed: 'good',
  received: 'good', rejected: 'bad', cancelled: 'bad', paid: 'onward', ordered: 'onward', disbursed: 'onward' };

const tone = (status) => TONES[status] ?? '';
const newest = (field) => (a, b) => Date.parse(b[field]) - Date.parse(a[field]) || b.id - a.id;
const waits = (item) => item.decidable && tone(item.status) === 'pending';
const idOf = (resource, id) => `${resource}/${id}`;

export class Requests {
  #items = new Map(); #elements = new Map(); #leaving = new Map();
  #user; #decide; #fetch; #tab = 'waiting'; #all = false; #held = 0;
  #turn = 0; #away = []; // the loads so far, and what was taken away from the user

  // decide(item, decision) and fetchOne(resource, id) are async and talk to the ERP.
  constructor({ decide, fetchOne }) {
    this.#decide = decide;
    this.#fetch = fetchOne;
    this.list = $('requests-list');
    $('requests-more').addEventListener('click', () => { this.#all = !this.#all; this.#draw(); });
    const release = () => queueMicrotask(() => this.#held && !this.#busy() && this.#draw());
    this.list.addEventListener('pointerleave', release);
    this.list.addEventListener('focusout', release);
  }

  // show starts afresh for a user.
  show(user) {
    this.#user = user;
    this.#items.clear();
    this.#elements.clear();
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    this.#leaving.clear();
    this.#tab = 'waiting';
    this.#all = false;
    this.#away = [];
    $('requests-title').textContent = user.decides ? 'Requests to decide'
      : user.warehouses.length ? 'Your requests and transfers' : 'Your requests';
    this.list.classList.toggle('deciding', user.decides);
    this.list.replaceChildren();
    this.#draw();
  }

  // rights takes the names of the groups and warehouses that were taken away from the user.
  rights(away) {
    if (away.join() === this.#away.join()) return;
    this.#away = away;
    this.#draw();
  }

  // keys names the rows that the page knows.
  keys() { return [...this.#items.keys()]; }

  // load replaces everything by what the ERP's REST interface says.
  load(items) {
    this.#turn++;
    this.#items = new Map(items.map((item) => [idOf(item.resource, item.id), item]));
    for (const key of [...this.#elements.keys()]) if (!this.#items.has(key)) this.#elements.delete(key);
    for (const [key, item] of this.#items) if (this.#elements.has(key)) this.#fill(this.#elements.get(key), item);
    this.#draw(true);
  }

  // apply takes an event of a resource that has a status. It says whether the page shows the row.
  async apply(event) {
    const key = idOf(event.resource, event.resource_id);
    if (event.op === 'leave' || event.op === 'delete') {
      this.#items.delete(key);
      this.#elements.delete(key);
      return this.#draw();
    }
    const item = this.#items.get(key);
    if (!item) return this.#arrive(event, key);
    const flipped = event.data.status !== undefined && event.data.status !== item.status;
    Object.assign(item, { status: event.data.status ?? item.status, changed_at: event.at });
    if (event.data.amount !== undefined && item.amount !== null) item.amount = String(event.data.amount);
    const el = this.#elements.get(key);
    if (el) this.#fill(el, item, flipped);
    if (flipped && this.#user.decides && item.decidable && !waits(item)) this.#linger(key);
    this.#draw();
    if (el?.isConnected) replay(el, 'changed');
  }

  // #arrive fetches what the event does not carry (whose it is, what for) from the ERP, as any page would.
  async #arrive(event, key) {
    const [user, turn] = [this.#user, this.#turn];
    const item = await this.#fetch(event.resource, event.resource_id);
    if (!item || user !== this.#user || turn !== this.#turn) return; // what is loaded since knows it, or must not
    this.#items.set(key, { ...item, changed_at: event.at, fresh: true });
    this.#draw();
  }

  #linger(key) {
    clearTimeout(this.#leaving.get(key));
    this.#leaving.set(key, setTimeout(() => { this.#leaving.delete(key); this.#draw(); }, LINGER));
  }

  #busy() {
    return this.list.matches(':hover') || this.list.contains(document.activeElement);
  }

  #chosen() {
    const items = [...this.#items.values()];
    if (!this.#user.decides) return items.sort(newest('changed_at'));
    if (this.#tab === 'decided') return items.filter((item) => !waits(item)).sort(newest('changed_at'));
    return items.filter((item) => waits(item) || this.#leaving.has(idOf(item.resource, item.id)))
      .sort(newest('created_at'));
  }

  #draw(force = false) {
    if (!this.#user) return;
    const chosen = this.#chosen();
    this.#drawTabs();
    const shown = this.#all ? chosen : chosen.slice(0, SHORT);
    const elements = shown.map((item) => this.#element(item));
    const fresh = elements.filter((el) => !el.isConnected);
    // Rows never move under a pointer that is about to press a button: what is new waits behind a line.
    if (!force && this.#user.decides && this.#busy() && fresh.length && this.list.childElementCount >= 3) {
      this.#held = fresh.length;
      return this.#drawHeld();
    }
    this.#held = 0;
    if (!shown.length) return this.#drawBlank();
    glide(this.list, () => arrange(this.list, elements));
    this.#drawMore(chosen.length);
  }

  #drawTabs() {
    if (!this.#user.decides) return tabs($('requests-tabs'), [], '', () => {});
    const waiting = [...this.#items.values()].filter(waits).length;
    tabs($('requests-tabs'), [['waiting', `Waiting ${count(waiting)}`], ['decided', 'Decided']], this.#tab, (tab) => {
      this.#tab = tab;
      this.#draw(true);
    });
  }

  #drawHeld() {
    const text = this.#held === 1 ? '1 new request' : `${this.#held} new requests`;
    const line = this.list.querySelector('.held');
    if (line) {
      line.firstChild.textContent = `Show ${text}`;
      return;
    }
    const show = () => this.#draw(true);
    this.list.prepend(h('li.held', {}, h('button.waiting', { type: 'button', onclick: show }, `Show ${text}`)));
  }

  #drawBlank() {
    const text = this.#away.length ? ['Not yours to see any more',
      `Without ${this.#away.join(' and ')} nothing that others filed is sent to this browser.`]
      : this.#user.decides ? ['Nothing waits for you', 'A new request appears here as soon as it is filed.']
      : ['No requests yet', 'What you file appears here, and follows every decision.'];
    this.list.replaceChildren(h('li.blank', {}, blank(this.#away.length ? 'lock' : 'inbox', ...text)));
    $('requests-foot').hidden = true;
  }

  #drawMore(total) {
    $('requests-foot').hidden = total <= SHORT;
    $('requests-more').dataset.all = this.#all;
    $('requests-more').textContent = this.#all ? `Show ${SHORT} only` : `Show all ${count(total)}`;
  }

  #element(item) {
    const key = idOf(item.resource, item.id);
    let el = this.#elements.get(key);
    if (!el) {
      el = h('li', { 'data-key': key });
      this.#elements.set(key, el);
      this.#fill(el, item);
      if (item.fresh) replay(el, 'arrived');
      item.fresh = false;
    }
    return el;
  }

  #fill(el, item, flipped = false) {
    const who = item.requester.id === this.#user.id ? null : item.requester.name;
    const meta = [item.number, words(item.kind), who, ago(item.created_at)].filter(Boolean).join(' · ');
    const badge = h(`span.badge${tone(item.status) && '.' + tone(item.status)}${flipped ? '.flip' : ''}`, {},
      words(item.status));
    el.replaceChildren(
      h('span.kind', { 'aria-hidden': 'true' }, icon(item.icon)),
      h('div.what', {}, h('p.subject', { title: item.subject }, item.subject), h('p.meta', { title: meta }, meta)),
      h('p.amount', {}, ...(item.amount === null ? [] : [h('small', {}, item.currency), amount(item.amount)])),
      h('div.end', {}, ...(this.#user.decides && waits(item) ? this.#buttons(item) : [badge])));
  }

  #buttons(item) {
    const act = (decision, label, name, look) => h(`button.button.${look}`, {
      type: 'button', 'aria-label': `${label} ${item.number}`,
      onclick: async ({ currentTarget }) => {
        const both = currentTarget.parentElement.querySelectorAll('button');
        both.forEach((button) => { button.disabled = true; });
        if (!await this.#decide(item, decision)) both.forEach((button) => { button.disabled = false; });
      },
    }, icon(name), label);
    return [act('approved', 'Approve', 'check', 'yes'), act('rejected', 'Reject', 'cross', 'no')];
  }
}
