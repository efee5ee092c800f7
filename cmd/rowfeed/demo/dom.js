// Small helpers for the page. Data reaches the page as text nodes and attributes only, never as HTML.

const SVG = 'http://www.w3.org/2000/svg';

export const $ = (id) => document.getElementById(id);

// h makes an element: h('p.meta', {title: 'x'}, 'text', child). Properties whose name begins with "on" are listeners.
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const el = document.createElement(tag);
  if (classes.length) el.className = classes.join(' ');
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else el.setAttribute(key, value === true ? '' : value);
  }
  el.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return el;
}

export function icon(name, extra = '') {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `icon ${extra}`.trim());
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

export const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

// replay starts a CSS animation again by taking its class away and giving it back.
export function replay(el, name) {
  el.classList.remove(name);
  void el.offsetWidth;
  el.classList.add(name);
}

// glide runs change() and lets the children of list that moved slide from where they were (first, last, invert, play).
export function glide(list, change) {
  if (calm() || document.hidden) return change();
  const before = new Map([...list.children].map((el) => [el, el.getBoundingClientRect().top]));
  change();
  for (const [el, top] of before) {
    if (!el.isConnected) continue;
    const by = top - el.getBoundingClientRect().top;
    if (Math.abs(by) < 1 || Math.abs(by) > 1200) continue;
    el.animate([{ transform: `translateY(${by}px)` }, { transform: 'none' }],
      { duration: 320, easing: 'cubic-bezier(.2,.8,.2,1)' });
  }
}

// arrange makes the children of list exactly items, in order, touching only what differs: focus and animations stay.
export function arrange(list, items) {
  const wanted = new Set(items);
  for (const el of [...list.children]) if (!wanted.has(el)) el.remove();
  items.forEach((el, i) => {
    if (list.children[i] !== el) list.insertBefore(el, list.children[i] ?? null);
  });
}

export const blank = (name, title, text) => [icon(name), h('b', {}, title), h('span', {}, text)];

// tabs fills a group of toggle buttons: [[value, label], …].
export function tabs(group, choices, current, choose) {
  const buttons = [...group.children];
  const same = buttons.length === choices.length && buttons.every((b, i) => b.dataset.value === choices[i][0]);
  if (!same) {
    group.replaceChildren(...choices.map(([value]) =>
      h('button', { type: 'button', 'data-value': value, onclick: () => choose(value) })));
  }
  choices.forEach(([value, label], i) => {
    const button = group.children[i];
    if (button.textContent !== label) button.textContent = label;
    button.setAttribute('aria-pressed', String(value === current));
  });
}

const numbers = new Intl.NumberFormat('en');
const money = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const days = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

export const count = (n) => numbers.format(n);
export const amount = (text) => money.format(Number(text));
export const time = (date) => clock.format(date);

// ago says how long ago a moment was, in the words of a person.
export function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (seconds < 45) return 'just now';
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return days.format(new Date(iso));
}

// now is the time of day in ms since 1970, finer than Date's.
export const now = () => performance.timeOrigin + performance.now();

// step is a line of a trace, with how long it took in ms.
export const step = (look, text, ms) => h(`li.${look}`, {}, text, ms === undefined ? null : h('time', {}, span(ms)));

// whyButton asks what became of a change.
export const whyButton = (onclick) => h('button.button', { type: 'button', 'aria-haspopup': 'dialog', onclick },
  icon('question'), 'Why?');

export const words = (name) => (name ?? '').replaceAll('_', ' ').replace(/^./, (c) => c.toUpperCase());

// span says a length of time in ms so that it fits a pill.
export function span(ms) {
  if (ms < 1) return '<1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}
