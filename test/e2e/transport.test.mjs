// The client library where it runs and through what networks have: Node, a page, a worker; with a WebSocket, without
// one, and by Server-Sent Events where a proxy is in the way. The bridge is killed in between; every change comes once.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { WebSocket } from 'ws';
import { launch, PATIENCE } from './demo.mjs';
import { Proxy } from './proxy.mjs';
import { Stage } from './stage.mjs';

const KILLS = 2;
const BETWEEN = 100; // events that arrive between two kills

let stage, browser;
const proxies = [];

before(async () => {
  stage = await Stage.start();
  browser = await launch();
  await stage.serve();
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  for (const proxy of proxies) proxy.stop();
  await stage?.stop();
});

async function through(upgrade) {
  const proxy = await Proxy.start(stage.address, upgrade);
  proxies.push(proxy);
  return proxy;
}

// hear is what runs in Node, in a page and in a worker. It subscribes to all counters and to one of them, and later, in
// the middle of it, to some. Report is what it has heard.
async function hear({ library, address, token, environment = {} }) {
  const { createClient } = await import(library);
  const counts = { all: {}, one: {}, some: {} };
  const seen = { counts, events: 0, cursors: 0, live: 0, answered: 0, transports: [], resyncs: [], errors: [] };
  const client = createClient({
    url: `ws://${address}/ws`, getToken: () => token, environment, onError: (error) => seen.errors.push(String(error)),
  });
  client.state.subscribe((state) => {
    seen.status = state.status;
    if (state.status !== 'live') return;
    seen.live++;
    seen.transports.push(state.transport ?? 'websocket');
  });
  const cursors = new Set();
  const subscribe = (name, topic) => client.subscribe({ channel: 'counters', ...topic }, ({ data, cursor }) => {
    if (cursor) seen.cursors = cursors.add(cursor).size;
    (counts[name][data.id] ??= []).push(data.n);
    seen.events++;
  }, { onLive: () => seen.answered++, onResync: ({ reason }) => seen.resyncs.push(`${name}: ${reason}`) });
  subscribe('all', {});
  subscribe('one', { resource: 'counters', key: 4 });
  return {
    report: () => seen,
    more: () => void subscribe('some', { where: { id: [3, 4, 5] } }),
    close: () => client.close(),
  };
}

// poll waits until what a listener reports passes the test.
async function poll(listener, passes) {
  const limit = Date.now() + PATIENCE;
  for (;;) {
    const seen = await listener.report();
    if (passes(seen)) return seen;
    if (Date.now() > limit) throw new Error(`not in time: ${passes}, ${JSON.stringify({ ...seen, counts: {} })}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const isDone = (first, last, { counts: { all } }) =>
  Object.entries(last).every(([id, n]) => n === first[id] || all[id]?.at(-1) === n);

// isUnderWay tells that the newest cursor is of a time after the subscription: an older one brings what was before it.
const isUnderWay = ({ events, cursors }) => events >= BETWEEN && cursors >= 3;

// wholeSince makes sure that each counter was heard to its last value from where it had been, in order, none twice; what
// was written just before the subscription may still come.
function wholeSince(first, last, counts) {
  for (const id of Object.keys(last)) {
    const from = Math.min(counts[id]?.[0] ?? Infinity, first[id] + 1);
    assert.deepEqual(counts[id] ?? [], Array.from({ length: last[id] + 1 - from }, (_, i) => from + i), `counter ${id}`);
  }
}

// The three places that a listener can be in. Each has report, more and close.
const places = {
  async node(options) {
    const library = pathToFileURL(join(stage.library, 'index.js')).href;
    return hear({ library, token: stage.token, ...options });
  },
  async page(options) {
    const page = await open();
    await page.evaluate(`(${hear})(${inBrowser(options)}).then((listener) => { window.listener = listener })`);
    return {
      page,
      report: () => page.evaluate(() => window.listener.report()),
      more: () => page.evaluate(() => window.listener.more()),
      close: () => page.context().close(),
    };
  },
  async worker(options) {
    const page = await open();
    const code = `(${hear})(${inBrowser(options)}).then((listener) => {
      onmessage = ({ data }) => postMessage(listener[data]());
      postMessage('ready');
    })`;
    await page.evaluate(async (text) => {
      const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
      const worker = new Worker(url, { type: 'module' });
      const answer = () => new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
      window.call = (what) => {
        worker.postMessage(what);
        return answer();
      };
      await answer();
    }, code);
    const ask = (what) => page.evaluate((name) => window.call(name), what);
    return { report: () => ask('report'), more: () => ask('more'), close: () => page.context().close() };
  },
};

async function open() {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(stage.origin);
  return page;
}

const inBrowser = (options) =>
  JSON.stringify({ library: `${stage.origin}/index.js`, token: stage.token, ...options });

for (const [name, place, upgrade, transport, environment] of [
  ['a page behind a proxy that refuses WebSockets', 'page', 'refuse', 'sse'],
  ['a page behind a proxy that cuts WebSockets off', 'page', 'cut', 'sse'],
  ['a worker', 'worker', undefined, 'websocket'],
  ['a worker behind a proxy that refuses WebSockets', 'worker', 'refuse', 'sse'],
  ['Node with the package ws', 'node', undefined, 'websocket', { WebSocket }],
  ['Node without a WebSocket', 'node', undefined, 'sse', { WebSocket: undefined }],
]) {
  test(name, async () => {
    const address = upgrade ? (await through(upgrade)).address : stage.address;
    const first = await stage.record();
    const listener = await places[place]({ address, ...(environment && { environment }) });
    await poll(listener, ({ answered }) => answered === 2);
    stage.write();
    await poll(listener, isUnderWay);
    await listener.more();
    await poll(listener, ({ answered }) => answered >= 3);
    for (let kill = 0; kill < KILLS; kill++) {
      const { events, live } = await listener.report();
      await stage.kill();
      await poll(listener, ({ status }) => status !== 'live');
      await stage.serve();
      await poll(listener, (seen) => seen.live > live && seen.events >= events + BETWEEN);
    }
    const last = await stage.record();
    const { counts, transports, resyncs, errors } = await poll(listener, (seen) => seen.resyncs.length
      || seen.transports.at(-1) === transport && isDone(first, last, seen));
    await listener.close();
    assert.deepEqual([errors, resyncs], [[], []]);
    // While the bridge starts, a stream may be there before the WebSocket; not the other way round.
    if (transport === 'sse') assert.deepEqual([...new Set(transports)], ['sse']);
    wholeSince(first, last, counts.all);
    assert.deepEqual(counts.one[4] ?? [], counts.all[4] ?? []);
    for (const [id, list] of Object.entries(counts.some)) {
      assert.ok(['3', '4', '5'].includes(id));
      assert.deepEqual(list, counts.all[id].slice(-list.length), `counter ${id}, of those that were asked for later`);
    }
    assert.ok(Object.keys(counts.some).length > 0);
  });
}

// interrupted has a page lose its connection without a word, and find it again as lose and find do; what was written
// meanwhile has to be there then.
async function interrupted(lose, find) {
  const proxy = await through('pass');
  const first = await stage.record();
  const listener = await places.page({ address: proxy.address });
  await poll(listener, ({ answered }) => answered === 2);
  stage.write();
  await poll(listener, isUnderWay);
  proxy.freeze();
  await lose(listener);
  const last = await stage.record();
  proxy.thaw();
  await find(listener);
  const { counts, resyncs } = await poll(listener, (seen) => seen.resyncs.length
    || isDone(first, last, seen) && seen.live > 1 && seen.transports.at(-1) === 'websocket');
  await listener.close();
  assert.deepEqual(resyncs, []);
  wholeSince(first, last, counts.all);
}

test('a laptop that sleeps while its connection dies comes back at once, and has missed nothing', () => interrupted(
  ({ page }) => page.clock.install(),
  ({ page }) => page.clock.fastForward('01:00:00'),
));

test('a network that goes and comes back: 5 s until that is seen, then at once', () => interrupted(
  async (listener) => {
    await listener.page.context().setOffline(true);
    const at = Date.now();
    await poll(listener, ({ status }) => status === 'waiting' || status === 'connecting');
    assert.ok(Date.now() - at < 30_000, 'it took as long as silence does');
  },
  ({ page }) => page.context().setOffline(false),
));
