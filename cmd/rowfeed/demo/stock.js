// The stock card: quantities of one's warehouses, moving as they are committed.

import { $, arrange, blank, count, glide, h, replay, tabs } from './dom.js';

const SHORT = 8;
const LONG = 200;

const low = (level) => level.quantity <= level.reorder_level;

export class Stock {
  #levels = new Map(); #elements = new Map(); #user; #tab = 'moving'; #search = ''; #place = ''; #table = null;
  #places = []; #away = [];

  // show starts afresh for a user.
  show(user) {
    this.#user = user;
    this.#levels.clear();
    this.#elements.clear();
    this.#table = null;
    this.#tab = 'moving';
    this.#search = this.#place = '';
    this.#places = user.warehouses;
    this.#away = [];
    $('stock-title').textContent = user.warehouses.length ? 'Stock in your warehouses' : 'Stock';
    $('stock-body').replaceChildren();
    this.#draw();
  }

  // rights takes the ids of the warehouses that the user belongs to now, and the names of those that were taken away.
  rights(held, away) {
    if (away.join() === this.#away.join()) return;
    this.#away = away;
    this.#places = this.#user.warehouses.filter(({ id }) => held.includes(id));
    this.#search = this.#place = '';
    this.#table = null;
    this.#draw();
  }

  // keys names the rows that the page knows.
  keys() { return [...this.#levels.keys()].map((key) => `stock/${key}`); }

  // load replaces everything by what the ERP's REST interface says.
  load(levels) {
    const moved = this.#levels;
    this.#levels = new Map(levels.map((level) => {
      const known = moved.get(String(level.id));
      return [String(level.id), { ...level, by: known?.quantity === level.quantity ? known.by : 0 }];
    }));
    for (const key of [...this.#elements.keys()]) if (!this.#levels.has(key)) this.#elements.delete(key);
    for (const [key, el] of this.#elements) this.#fill(el, this.#levels.get(key));
    this.#draw();
  }

  // apply takes a stock_changed event.
  apply(event) {
    const key = String(event.resource_id);
    if (event.op === 'leave' || event.op === 'delete') {
      this.#levels.delete(key);
      this.#elements.delete(key);
      return this.#draw();
    }
    const level = this.#levels.get(key);
    if (!level) return;
    const quantity = Number(event.data.new_quantity);
    level.by = quantity - level.quantity;
    level.quantity = quantity;
    level.reorder_level = Number(event.data.reorder_level);
    level.changed_at = event.at;
    const el = this.#elements.get(key);
    if (el) this.#fill(el, level);
    this.#draw();
    const row = this.#elements.get(key);
    if (row?.isConnected) replay(row, 'changed');
  }

  #chosen() {
    const levels = [...this.#levels.values()];
    const newest = (a, b) => Date.parse(b.changed_at) - Date.parse(a.changed_at) || a.id - b.id;
    if (this.#tab === 'moving') return levels.sort(newest).slice(0, SHORT);
    if (this.#tab === 'low') {
      const spare = (level) => level.quantity - level.reorder_level;
      return levels.filter(low).sort((a, b) => spare(a) - spare(b) || a.id - b.id).slice(0, LONG);
    }
    const want = this.#search.toLowerCase();
    return levels.filter((level) => (!this.#place || String(level.warehouse_id) === this.#place)
      && (!want || `${level.sku} ${level.name}`.toLowerCase().includes(want)))
      .sort((a, b) => a.sku.localeCompare(b.sku) || a.warehouse_id - b.warehouse_id).slice(0, LONG);
  }

  #draw() {
    if (!this.#user) return;
    if (!this.#places.length) return this.#drawNothing();
    const few = [...this.#levels.values()].filter(low).length;
    const choices = [['moving', 'Moving now'], ['low', `Low ${count(few)}`], ['all', 'All']];
    tabs($('stock-tabs'), choices, this.#tab, (tab) => {
      this.#tab = tab;
      this.#search = this.#place = '';
      this.#table = null;
      this.#draw();
    });
    if (!this.#table) this.#frame();
    const rows = this.#chosen().map((level) => this.#element(level));
    glide(this.#table.tBodies[0], () => arrange(this.#table.tBodies[0], rows));
    this.#none.hidden = rows.length > 0;
    this.#table.hidden = !rows.length;
  }

  #drawNothing() {
    tabs($('stock-tabs'), [], '', () => {});
    this.#table = null;
    const quiet = 'not one stock row is sent to this browser, however many move.';
    const text = this.#away.length
      ? ['Not yours to see any more', `${this.#user.first} was taken off ${this.#away.join(' and ')}: ${quiet}`]
      : ['Nothing here is yours to see', `${this.#user.first} belongs to no warehouse: ${quiet}`];
    $('stock-body').replaceChildren(h('div.blank', {}, blank('lock', ...text)));
  }

  #none = h('div.blank', {}, blank('inbox', 'Nothing matches', 'No stock level fits what you look for.'));

  #frame() {
    const head = (cls, label) => h(`th${cls}`, { scope: 'col' }, label);
    this.#table = h('table.levels', { 'aria-labelledby': 'stock-title' },
      h('thead', {}, h('tr', {}, head('', 'Item'), head('.place-head', 'Warehouse'), head('.num', 'On hand'),
        head('.num.level-head', 'Reorder at'), head('.state-head', 'Level'))),
      h('tbody'));
    $('stock-body').replaceChildren(...(this.#tab === 'all' ? [this.#filters()] : []), this.#table, this.#none);
  }

  #filters() {
    const places = this.#places.map((place) => h('option', { value: place.id }, place.name));
    return h('div.filters', {},
      h('input.field', { type: 'search', placeholder: 'Find an item', 'aria-label': 'Find an item',
        oninput: ({ target }) => { this.#search = target.value; this.#draw(); } }),
      h('select.field', { 'aria-label': 'Warehouse',
        onchange: ({ target }) => { this.#place = target.value; this.#draw(); } },
        h('option', { value: '' }, 'All your warehouses'), places));
  }

  #element(level) {
    const key = String(level.id);
    let el = this.#elements.get(key);
    if (!el) {
      el = h('tr', { 'data-key': key });
      this.#elements.set(key, el);
      this.#fill(el, level);
    }
    return el;
  }

  #fill(el, level) {
    const by = level.by ? h(`span.was.${level.by > 0 ? 'up' : 'down'}`, {},
      `${level.by > 0 ? '+' : '−'}${count(Math.abs(level.by))}`) : null;
    el.replaceChildren(
      h('td.item', {}, level.name, h('small', {}, level.sku, h('span.where', {}, ` · ${level.warehouse}`))),
      h('td.place', {}, level.warehouse),
      h('td.num', {}, ...(by ? [by] : []), h('span.quantity', {}, count(level.quantity))),
      h('td.num.level', {}, count(level.reorder_level)),
      h('td.state', {}, state(level)));
  }
}

// state warns of what is low; else a small bar says how far the quantity is from that, full at five times the level.
function state(level) {
  if (level.quantity <= 0) return h('span.badge.bad', {}, 'Out');
  if (low(level)) return h('span.badge.pending', {}, 'Low');
  const bar = h('span');
  bar.style.width = `${Math.min(100, Math.round(20 * level.quantity / Math.max(1, level.reorder_level)))}%`;
  return h('span.meter', { role: 'img', 'aria-label': 'Enough' }, bar);
}
