// The page: one user at a time, REST for what there is, the feed for what changes.

import { Bell, Toasts } from './bell.js';
import { $, h, replay, span } from './dom.js';
import { Feed } from './feed.js';
import { Outage } from './outage.js';
import { Requests } from './requests.js';
import { Sql } from './sql.js';
import { Stock } from './stock.js';
import { Wire } from './wire.js';

const POLL = 1000;

let setup;
let user;
let feed = null;
let token = '';
let pending = null; // the first token of a user, on its way
let held = null; // events that came while the page fetches afresh; applied after it
let again = false;
let told = ''; // the transaction of the last toast

// ask calls the demo server as the user and gives null where that did not work.
async function ask(path, options = {}) {
  try {
    if (!token) await (pending ??= renew());
    const answer = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token}`,
      ...(options.body ? { 'Content-Type': 'application/json' } : {}) } });
    if (answer.status === 401 && !options.retried) {
      await renew();
      return ask(path, { ...options, retried: true });
    }
    return answer.ok || answer.status === 422 ? await answer.json() : null;
  } catch {
    return null;
  }
}

const post = (path, body) => ask(path, { method: 'POST', body: JSON.stringify(body) });

async function renew() {
  const who = user;
  const answer = await fetch(`/demo/token?user=${encodeURIComponent(who.id)}`).finally(() => { pending = null; });
  if (!answer.ok) throw new Error(`token: HTTP ${answer.status}`);
  const { token: fresh, socket } = await answer.json();
  if (who !== user) throw new Error('token: another user meanwhile');
  if (socket !== setup.socket) location.reload(); // the demo was started again
  return token = fresh;
}

const toasts = new Toasts();
const wire = new Wire();
const outage = new Outage({
  cut: () => feed.cut(),
  restore: () => feed.open(),
  committed: async () => (await ask('/demo/committed'))?.changes ?? null,
});
const stock = new Stock();
const bell = new Bell({ read: () => post('/api/notifications/read', {}) });
const requests = new Requests({
  decide: async (item, decision) => {
    const done = await post(`/api/requests/${item.resource}/${item.id}/decision`, { decision });
    if (!done || done.error) toasts.show(done?.error ?? `${item.number} could not be decided: try again`, 'warn');
    return done && !done.error;
  },
  fetchOne: (resource, id) => ask(`/api/requests/${resource}/${id}`),
});
const sql = new Sql({
  rows: () => ask('/demo/rows'),
  run: async (kind, id, value) => await post('/demo/update', { kind, id, value })
    ?? { error: 'The demo server does not answer: is it still running?' },
});

// refresh fetches all that the page shows. Events that come meanwhile wait: those of one row come in commit order, so
// the last one leaves the row right whatever the fetch saw.
async function refresh() {
  if (held) {
    again = true;
    return;
  }
  held = [];
  const who = user;
  const paths = ['/api/requests', '/api/stock', '/api/notifications'];
  const [list, levels, messages] = await Promise.all(paths.map((path) => ask(path)));
  const waiting = held;
  held = null;
  if (who !== user) return refresh();
  if (list) requests.load(list);
  if (levels) stock.load(levels);
  if (messages) bell.load(messages);
  waiting.forEach(apply);
  if (again) {
    again = false;
    refresh();
  }
}

function apply(detail) {
  if (held) return held.push(detail);
  const { frame: event, missed } = detail;
  const { resource, type, message } = event;
  if (setup.resources.requests.includes(resource)) requests.apply(event);
  if (resource === setup.resources.stock && type === 'stock_changed') stock.apply(event);
  if (resource === setup.resources.notifications) {
    bell.add({ id: event.resource_id, message, at: event.at, read_at: null });
  }
  if (message) tell(event);
  shown(event, missed);
}

// tell puts up what is addressed to this very person, or to the place they answer for. An ERP that changes a row and
// writes a notification of it in one transaction says the same twice: one toast is enough.
function tell({ txid, message, resource, type, data }) {
  const low = type === 'low_stock';
  const mine = low || resource === setup.resources.notifications || String(data?.requested_by_id) === user.id;
  if (!mine || (!low && told === txid)) return;
  if (!low) told = txid;
  toasts.show(message, low ? 'warn' : '');
}

// shown measures from the change in the database to the frame that the screen has painted. Of what was missed that
// would be how long the page was away.
function shown(event, missed) {
  const note = () => {
    const now = performance.timeOrigin + performance.now();
    if (!missed) $('live-ms').textContent = span(Math.max(0, now - Date.parse(event.at)));
    replay($('live'), 'beat');
    sql.arrived(event, now);
  };
  if (document.hidden) note();
  else requestAnimationFrame(note);
}

const STATES = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline',
  stopped: 'Stopped' };

function state({ state: name, reason }) {
  const word = name === 'stopped' && reason ? `Stopped: ${reason}` : STATES[name];
  $('live').dataset.state = name;
  $('live-word').textContent = STATES[name];
  $('live').title = name === 'stopped' ? `${word}. Press to connect again.`
    : 'The connection, and the time from the change in the database to this screen';
  if (name !== 'live') $('live-ms').textContent = '';
  $('live-announce').textContent = word;
  outage.state(name);
}

// Why the page had to fetch everything again, by the reason that the bridge gives; "reconnected" is the page's own.
const REASONS = {
  cursor_expired: 'What you missed is too long ago to be told',
  other_epoch: 'The database has been set back or replaced',
  truncated: 'A table was emptied at one stroke',
  drift: 'A table’s columns have changed',
  rule_error: 'A row’s visibility could not be worked out',
  grants_changed: 'What you may see has changed',
  reconnected: 'The connection was lost before the page had been told a place to go on from',
};

let explained = { text: '', until: 0 };

// explain says once why the page is fetched afresh: the reason comes for each channel.
function explain(reason) {
  const text = `${REASONS[reason] ?? 'What you missed can’t be told'}. Everything here was fetched afresh.`;
  if (explained.text === text && Date.now() < explained.until) return;
  explained = { text, until: Date.now() + 5000 };
  toasts.show(text, 'warn');
  outage.afresh(text);
}

function view(next) {
  user = next;
  token = '';
  pending = null;
  feed?.close();
  toasts.clear();
  document.title = `${user.name} · Nalar ERP, live`;
  history.replaceState(null, '', `?as=${user.role}`);
  $('hello').textContent = user.name;
  $('sees').textContent = user.sees;
  $('work').dataset.role = user.role;
  $('work').append(...(user.role === 'clerk' ? [$('stock'), $('requests')] : [$('requests'), $('stock')]));
  for (const panel of [requests, stock, wire, sql, outage]) panel.show(user);
  bell.load({ items: [], unread: 0 });
  feed = new Feed({ url: setup.socket, channels: setup.channels, token: renew });
  feed.addEventListener('state', ({ detail }) => state(detail));
  feed.addEventListener('frame', ({ detail }) => wire.frame(detail));
  feed.addEventListener('event', ({ detail }) => {
    outage.event(detail);
    apply(detail);
  });
  feed.addEventListener('again', () => outage.again());
  feed.addEventListener('stale', ({ detail: { reason } }) => {
    if (reason === 'connected') sql.refresh();
    else explain(reason);
    refresh();
  });
  feed.open();
  refresh(); // what there is doesn't wait for the socket
  sql.refresh();
}

function drawSwitch(current) {
  $('switch').append(...setup.users.map((one) => h('label', {},
    h('input', { type: 'radio', name: 'user', value: one.id, checked: one === current, onchange: () => view(one) }),
    h(`span.avatar.${one.role}`, { 'aria-hidden': 'true' }, one.initials),
    h('span', {}, h('b', {}, one.name), h('small', {}, one.title)))));
}

async function poll() {
  if (!document.hidden && ['live', 'offline'].includes(feed?.state)) {
    const answer = await ask('/demo/committed');
    if (answer) wire.committed(answer.changes);
  }
  setTimeout(poll, POLL);
}

async function start() {
  try {
    setup = await (await fetch('/demo/setup')).json();
  } catch {
    state({ state: 'reconnecting', reason: '' });
    return setTimeout(start, POLL);
  }
  const wanted = new URLSearchParams(location.search).get('as');
  const first = setup.users.find((one) => one.role === wanted) ?? setup.users[0];
  drawSwitch(first);
  $('live').addEventListener('click', () => feed?.state === 'stopped' && feed.open());
  view(first);
  poll();
}

start();
