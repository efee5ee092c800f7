// Tabs of one user share a connection: whatever becomes of the one that has it, each hears every change once, in order.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { launch, PATIENCE } from './demo.mjs';
import { Stage } from './stage.mjs';

const SETTLED = 60; // changes that a tab hears between two events of the story

let stage, browser, context;

before(async () => {
  stage = await Stage.start();
  browser = await launch();
  await stage.serve();
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await stage?.stop();
});

beforeEach(async () => {
  await context?.close();
  context = await browser.newContext();
  await until('nobody is connected', async () => await count(1) === 0 && await count(2) === 0);
});

// Tab is a page that listens, in a window of its own.
class Tab {
  sockets = new Set();

  static async open(token = stage.token) {
    const tab = new Tab();
    tab.page = await context.newPage();
    tab.page.setDefaultTimeout(PATIENCE);
    tab.page.on('websocket', (socket) => {
      tab.sockets.add(socket);
      socket.on('close', () => tab.sockets.delete(socket));
    });
    await tab.page.goto(stage.origin);
    await tab.page.evaluate(listen, { url: `ws://${stage.address}/ws`, token });
    await tab.page.waitForFunction(() => window.seen.state === 'live');
    tab.cdp = await context.newCDPSession(tab.page);
    return tab;
  }

  get leads() { return this.sockets.size > 0; }

  seen() { return this.page.evaluate(() => window.seen); }

  async hears(more = SETTLED) {
    const { events } = await this.seen();
    await this.page.waitForFunction((n) => window.seen.events >= n && window.seen.state === 'live', events + more);
  }

  // freeze stops all that the page does: a browser does it to a page that is hidden only, a debugger to any.
  async freeze() {
    await this.cdp.send('Debugger.enable');
    const paused = new Promise((resolve) => { this.cdp.once('Debugger.paused', resolve); });
    await this.cdp.send('Debugger.pause');
    await paused;
  }

  thaw() { return this.cdp.send('Debugger.disable'); }

  async crash() {
    const over = new Promise((resolve) => this.page.once('crash', resolve));
    this.cdp.send('Page.crash').catch(() => {}); // nobody is left to answer
    await over;
    this.sockets.clear();
  }
}

// listen runs in the page. What it hears is kept by counter; a toast is noted in storage that outlives the page.
async function listen({ url, token }) {
  const { createClient } = await import('/index.js');
  const seen = window.seen = { counts: {}, others: 0, events: 0, toasts: [], states: [], resyncs: [], errors: [] };
  window.tokens = { now: token };
  const client = window.client = createClient({ url, getToken: () => window.tokens.now,
    onError: (error) => seen.errors.push(error.code ?? String(error)) });
  client.state.subscribe((state) => {
    seen.state = state.status;
    seen.user = state.user;
    seen.states.push(state.status);
  });
  const onResync = ({ channel, reason }) => seen.resyncs.push(`${channel}: ${reason}`);
  client.subscribe({ channel: 'counters' }, ({ data }) => {
    (seen.counts[data.id] ??= []).push(data.n);
    seen.events++;
  }, { onResync });
  client.subscribe({ channel: 'others' }, () => { seen.others++; }); // nothing comes: no cursor before the first heartbeat
  client.subscribe({ channel: 'counters', resource: 'counters', key: 1 },
    ({ data }) => seen.toasts.push(data.n), { once: 'browser', onResync });
}

async function count(user) { return (await stage.sessions(user)).length; }

async function until(what, holds) {
  const end = Date.now() + PATIENCE;
  while (!await holds()) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

function open(n) { return Array.from({ length: n }).reduce(async (all) => [...await all, await Tab.open()], []); }

async function leader(tabs) {
  await until('one tab has the connection', () => tabs.filter(({ leads }) => leads).length === 1);
  return tabs.find(({ leads }) => leads);
}

// whole asserts that the tabs heard all that was written since they came, once and in order.
async function whole(tabs, record) {
  for (const [i, { page }] of tabs.entries()) {
    await page.waitForFunction((last) => Object.entries(last).every(([id, n]) =>
      !window.seen.counts[id] || window.seen.counts[id].includes(n)), record);
    const { counts, resyncs, errors, others } = await page.evaluate(() => window.seen);
    assert.deepEqual({ resyncs, errors, others }, { resyncs: [], errors: [], others: 0 }, `tab ${i}`);
    for (const [id, list] of Object.entries(counts)) {
      assert.deepEqual(list, Array.from({ length: list.length }, (_, k) => record[id] - list.length + 1 + k),
        `tab ${i}, counter ${id}`);
    }
  }
}

test('five tabs have one connection; it is closed, crashes, freezes, and the bridge is killed', { timeout: 600_000 }, async () => {
  const tabs = await open(5);
  const first = await leader(tabs);
  await until('one connection at the bridge', async () => await count(1) === 1);
  const [{ channels }] = await stage.sessions(1);
  assert.deepEqual(channels.toSorted(), ['counters', 'others']);
  stage.write();
  await Promise.all(tabs.map((tab) => tab.hears()));
  const toasted = [];
  const gone = async (tab) => {
    tabs.splice(tabs.indexOf(tab), 1);
    await Promise.all(tabs.map((other) => other.hears()));
  };

  toasted.push(...(await first.seen()).toasts);
  await first.page.close();
  await gone(first);

  const second = await leader(tabs);
  const before = (await second.seen()).toasts;
  await second.crash();
  await gone(second);
  toasted.push(...before);

  const third = await leader(tabs);
  const alive = tabs.filter((tab) => tab !== third);
  const frozen = Date.now();
  await third.freeze();
  await until('another takes over', () => alive.some(({ leads }) => leads));
  const takeover = Date.now() - frozen;
  await Promise.all(alive.map((tab) => tab.hears()));
  await third.thaw();
  await third.hears();
  await leader(tabs); // the frozen one follows, once it has caught up
  assert.ok(takeover >= 4_000, `taken over after ${takeover} ms`);

  await stage.kill();
  await Promise.all(tabs.map(({ page }) => page.waitForFunction(() => window.seen.state !== 'live')));
  await stage.serve();
  await Promise.all(tabs.map((tab) => tab.hears()));
  tabs.push(await Tab.open(), await Tab.open());
  await Promise.all(tabs.map((tab) => tab.hears()));
  await (await leader(tabs)).page.bringToFront();

  const record = await stage.record();
  await whole(tabs, record);
  await until('one connection at the bridge', async () => await count(1) === 1);
  for (const tab of tabs) toasted.push(...(await tab.seen()).toasts);
  const distinct = new Set(toasted);
  assert.equal(toasted.length, distinct.size, 'a toast in two tabs');
  assert.ok(distinct.size > 10, `${distinct.size} toasts`);
});

test('two users in one browser have a connection each, and never hear of the other', { timeout: 300_000 }, async () => {
  const mine = [await Tab.open(), await Tab.open()];
  const theirs = [await Tab.open(stage.other), await Tab.open(stage.other)];
  await leader(mine);
  await leader(theirs);
  assert.deepEqual([await count(1), await count(2)], [1, 1]);
  stage.write();
  await Promise.all(mine.map((tab) => tab.hears()));
  await Promise.all(theirs.map(({ page }) => page.waitForFunction((n) => window.seen.others > n, SETTLED)));

  // One of mine logs in as the other: it hears what they do, and the one that stays does not.
  const [changed, stays] = (await leader(mine)) === mine[0] ? mine : mine.toReversed();
  await changed.page.evaluate((token) => {
    window.tokens.now = token;
    window.client.close();
    window.client.connect();
  }, stage.other);
  await changed.page.waitForFunction(() => window.seen.others > 10);
  await stays.hears();
  const { events } = await changed.seen();
  await stays.hears();
  await stage.record();
  assert.equal((await changed.seen()).events, events, 'rows of the user who left');
  assert.equal((await stays.seen()).others, 0, 'rows of the other user');
  for (const tab of theirs) assert.deepEqual((await tab.seen()).counts, {}, 'rows of the first user');
});

test('a logout in one tab has every tab prove itself again', { timeout: 300_000 }, async () => {
  const tabs = await open(3);
  await leader(tabs);
  for (const { page } of tabs) await page.evaluate(() => { window.tokens.now = 'no longer'; });
  await tabs[1].page.evaluate(() => window.client.close());
  for (const tab of [tabs[0], tabs[2]]) await tab.page.waitForFunction(() => window.seen.state === 'stopped');
  assert.equal((await tabs[1].seen()).state, 'idle');
  await until('nobody is connected', async () => await count(1) === 0);
});
