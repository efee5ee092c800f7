// The bell and the toasts: messages that are addressed to the user.

import { $, ago, arrange, blank, h, icon, replay } from './dom.js';

const KEPT = 40;
const STAYS = 7000;
const MOST = 3;

export class Bell {
  #items = []; #unread = 0; #read;

  // read() tells the ERP that everything was read; it is async.
  constructor({ read }) {
    this.#read = read;
    this.button = $('bell');
    this.panel = $('bell-panel');
    this.button.addEventListener('click', () => this.#open(this.panel.hidden));
    $('bell-read').addEventListener('click', () => this.#readAll());
    document.addEventListener('keydown', ({ key }) => {
      if (key !== 'Escape' || this.panel.hidden) return;
      this.#open(false);
      this.button.focus();
    });
    document.addEventListener('pointerdown', ({ target }) => {
      if (!this.panel.hidden && !target.closest('.bell')) this.#open(false);
    });
  }

  load({ items, unread }) {
    this.#items = items;
    this.#unread = unread;
    this.#draw();
  }

  // add takes a message that has just come.
  add(item) {
    if (this.#items.some((known) => known.id === item.id)) return;
    this.#items.unshift(item);
    this.#items.length = Math.min(this.#items.length, KEPT);
    if (!item.read_at) this.#unread++;
    this.#draw();
    replay(this.button.parentElement, 'ring');
  }

  async #readAll() {
    const before = new Set(this.#items.map((item) => item.id));
    const unread = this.#unread;
    if (!await this.#read()) return;
    // What came meanwhile is not read.
    const now = new Date().toISOString();
    for (const item of this.#items) if (before.has(item.id)) item.read_at ??= now;
    this.#unread = Math.max(0, this.#unread - unread);
    this.#draw();
  }

  #open(open) {
    this.panel.hidden = !open;
    this.button.setAttribute('aria-expanded', String(open));
    if (!open) return;
    this.#draw();
    this.panel.focus();
  }

  #draw() {
    const badge = $('bell-count');
    badge.hidden = !this.#unread;
    badge.textContent = this.#unread > 99 ? '99+' : String(this.#unread);
    $('bell-label').textContent = this.#unread ? `Notifications, ${this.#unread} unread` : 'Notifications';
    $('bell-read').disabled = !this.#unread;
    if (this.panel.hidden) return;
    const lines = this.#items.map((item) => h(item.read_at ? 'li' : 'li.unread', {},
      h('div', {}, h('p', {}, item.message), h('time', { datetime: item.at }, ago(item.at)))));
    arrange($('bell-list'), lines.length ? lines
      : [h('li.empty.blank', {}, blank('bell', 'No messages yet', 'What concerns you appears here at once.'))]);
  }
}

export class Toasts {
  #box = $('toasts');

  // show puts up a message for a while; it stays as long as the pointer or the focus is on it.
  show(message, look = '') {
    const dismiss = h('button.icon-button', { type: 'button', 'aria-label': 'Dismiss', onclick: () => toast.remove() },
      icon('cross'));
    const toast = h(`div.toast${look && '.' + look}`, {}, icon(look === 'warn' ? 'alert' : 'bell'),
      h('p', {}, message), dismiss);
    while (this.#box.childElementCount >= MOST) this.#box.firstElementChild.remove();
    this.#box.append(toast);
    let timer;
    const hold = () => clearTimeout(timer);
    const leave = () => { hold(); timer = setTimeout(() => toast.remove(), STAYS); };
    for (const type of ['pointerenter', 'focusin']) toast.addEventListener(type, hold);
    for (const type of ['pointerleave', 'focusout']) toast.addEventListener(type, leave);
    leave();
  }

  clear() {
    this.#box.replaceChildren();
  }
}
