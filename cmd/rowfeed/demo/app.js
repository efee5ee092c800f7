// The page: one user at a time, REST for what there is, the feed for what changes.

import { Bell, Toasts } from './bell.js';
import { $, h, now, replay, span } from './dom.js';
import { Feed } from './feed.js';
import { Migration } from './migration.js';
import { Outage } from './outage.js';
import { Requests } from './requests.js';
import { Rights } from './rights.js';
import { Sql } from './sql.js';
import { Stock } from './stock.js';
import { Why } from './why.js';
import { Wire } from './wire.js';

const POLL = 1000;

let setup;
let user;
let feed = null;
let token = '';
let pending = null; // the first token of a user, on its way
let held = null; // events that came while the page fetches afresh; applied after it
let again = false;
let fetching = null; // the fetch afresh that is under way
let regrant = null; // the same, because what one may see has changed
let told = ''; // the transaction of the last toast

// call fetches from the demo server as the user.
async function call(path, options = {}) {
  if (!token) await (pending ??= renew());
  const answer = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token}`,
    ...(options.body ? { 'Content-Type': 'application/json' } : {}) } });
  if (answer.status !== 401 || options.retried) return answer;
  await renew();
  return call(path, { ...options, retried: true });
}

// ask gives the answer, and null where there was none.
async function ask(path, options) {
  try {
    const answer = await call(path, options);
    return answer.ok || [409, 422].includes(answer.status) ? await answer.json() : null;
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
const why = new Why({ ask: (change) => post('/demo/why', change) });
const wire = new Wire({ why: (change) => why.open(change, setup.users) });
const outage = new Outage({
  cut: () => feed.cut(),
  restore: () => feed.open(),
  committed: async () => (await ask('/demo/committed'))?.changes ?? null,
});
const migration = new Migration({
  look: () => ask('/demo/migration'),
  run: (name) => post(`/demo/migration/${name}`, {}),
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
  why: (change) => why.open(change, setup.users),
});

// visit opens the request to which belongs what the page takes away: it lasts until the page goes.
async function visit(signal) {
  try {
    const { body } = await call('/demo/visit', { signal });
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const { visit: name } = JSON.parse((await reader.read()).value);
    return { name, ended: reader.read().catch(() => {}) };
  } catch {
    return null;
  }
}

const rights = new Rights({
  turn: (id, yes, name) => post(`/demo/rights/${id}`, { held: yes, visit: name }),
  unseen: (from) => ask(`/demo/unseen?from=${from}`),
  visit,
  changed: (list) => {
    const away = list.filter(({ held: has }) => !has);
    const [places, groups] = [away.filter(({ place }) => place), away.filter(({ place }) => !place)]
      .map((some) => some.map(({ label }) => label));
    requests.rights(groups);
    stock.rights(list.filter(({ held: has }) => has).map(({ place }) => place), places);
    const names = away.map(({ label }) => label).join(' and ');
    const [are, them] = away.length > 1 ? ['are', 'them'] : ['is', 'it'];
    $('sees').textContent = !away.length ? user.sees
      : `${names} ${are} taken away: what ${user.first} saw by ${them} is no longer sent to this browser.`;
  },
  look: (one) => document.querySelector(`#switch input[value="${one.id}"]`).click(),
});

// refresh fetches all that the page shows, once more where it is asked to meanwhile.
function refresh() {
  if (fetching) again = true;
  return fetching ??= fetchAll().finally(() => { fetching = null; });
}

// fetchAll: events that come meanwhile wait. Those of one row come in commit order, so the last one leaves the row right
// whatever the fetch saw.
async function fetchAll() {
  do {
    again = false;
    held = [];
    const who = user;
    const paths = ['/api/requests', '/api/stock', '/api/notifications', '/demo/rights', '/demo/migration'];
    const [list, levels, messages, has, altered] = await Promise.all(paths.map((path) => ask(path)));
    const waiting = held;
    held = null;
    if (who !== user) {
      again = true;
      continue;
    }
    if (list) requests.load(list);
    if (levels) stock.load(levels);
    if (messages) bell.load(messages);
    if (has) rights.load(has);
    if (altered) migration.load(altered);
    waiting.forEach(apply);
  } while (again);
}

// regranted fetches all afresh when what one may see has changed, and tells what that changed on the page.
async function regranted() {
  const [at, before] = [now(), keys()];
  rights.heard(at);
  sql.refresh();
  await refresh();
  const after = keys();
  const lacks = (list, other) => [...list].filter((key) => !other.has(key)).length;
  rights.fetched({ went: lacks(before, after), came: lacks(after, before), ms: now() - at });
}

const keys = () => new Set([...requests.keys(), ...stock.keys()]);

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
    const at = now();
    if (!missed) $('live-ms').textContent = span(Math.max(0, at - Date.parse(event.at)));
    replay($('live'), 'beat');
    sql.arrived(event, at);
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
  rights.state(name);
  migration.state(name);
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
  if (reason !== 'grants_changed') outage.afresh(text);
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
  for (const panel of [requests, stock, wire, sql, outage, migration]) panel.show(user);
  rights.show(user, setup.users);
  bell.load({ items: [], unread: 0 });
  feed = new Feed({ url: setup.socket, channels: setup.channels, token: renew });
  feed.addEventListener('state', ({ detail }) => state(detail));
  feed.addEventListener('frame', ({ detail }) => wire.frame(detail));
  feed.addEventListener('event', ({ detail }) => {
    outage.event(detail);
    rights.event(detail.frame);
    apply(detail);
  });
  feed.addEventListener('again', () => outage.again());
  feed.addEventListener('stale', ({ detail: { reason } }) => {
    if (reason === 'connected') sql.refresh();
    else if (!(reason === 'grants_changed' && rights.tells || reason === 'drift' && migration.tells)) explain(reason);
    if (reason === 'drift') migration.heard(now());
    if (reason !== 'grants_changed') return refresh();
    if (regrant) return refresh();
    regrant = regranted().finally(() => { regrant = null; });
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
