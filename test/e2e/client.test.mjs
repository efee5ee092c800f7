// The client library, and a bare EventSource, in a real browser against a bridge that is killed: every change arrives.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PATIENCE } from './demo.mjs';
import { Stage } from './stage.mjs';

const KILLS = 5;
const BETWEEN = 150; // events that arrive between two kills

let stage, browser, page;

before(async () => {
  stage = await Stage.start();
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(stage.origin);
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await stage?.stop();
});

// listen subscribes in the page: to all, to some by where, to one by its key. What overlaps has to arrive once for
// each.
async function listen({ url, token }) {
  const { createClient } = await import('/index.js');
  const counts = { all: {}, some: {}, one: {} };
  const seen = window.seen = { counts, events: 0, connections: 0, resyncs: [], errors: [] };
  // By WebSocket alone, and not by a stream where the bridge is away for long: it is the socket's frames that are counted.
  const client = createClient({ url, getToken: () => token, onError: (error) => seen.errors.push(String(error)),
    environment: { fetch: undefined } });
  client.state.subscribe(({ status }) => { if (status === 'live') seen.connections++; });
  const hear = (name, topic) => client.subscribe({ channel: 'counters', ...topic }, ({ data }) => {
    (counts[name][data.id] ??= []).push(data.n);
    seen.events++;
  }, { onResync: ({ reason }) => seen.resyncs.push(`${name}: ${reason}`) });
  // late is what a page adds while it has no connection: live at once, it would be told of what is new before the
  // others have heard what they missed.
  window.late = (name) => {
    counts[name] = {};
    hear(name, { where: { id: [...Array(30).keys(), 30, name] } });
  };
  // An EventSource comes back by itself, with the last id that it was given.
  document.cookie = `access_token=${token}; path=/`;
  const stream = new EventSource(url.replace(/^ws/, 'http').replace(/ws$/, 'sse/counters'), { withCredentials: true });
  const had = new Set();
  Object.assign(seen, { stream: {}, streamOpen: 0, streamCloses: [] });
  stream.onopen = () => { seen.streamOpen++; };
  stream.addEventListener('close', ({ data }) => seen.streamCloses.push(data));
  stream.onmessage = ({ data: text }) => {
    const { id, data } = JSON.parse(text);
    if (had.has(id)) return;
    had.add(id);
    (seen.stream[data.id] ??= []).push(data.n);
  };
  hear('all', {});
  hear('some', { resource: 'counters', where: { id: [3, 4, 5] } });
  hear('one', { resource: 'counters', key: 4 });
}

test('a bridge that is killed again and again: the library hands out every change once, in order', async () => {
  const subscribed = [];
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
    const frame = JSON.parse(String(payload));
    if (frame.type === 'subscribed') subscribed.push(frame);
  }));
  await stage.serve();
  await page.evaluate(listen, { url: `ws://${stage.address}/ws`, token: stage.token });
  await page.waitForFunction(() => window.seen.connections === 1 && window.seen.streamOpen === 1);
  stage.write();
  for (let kill = 1; kill <= KILLS; kill++) {
    const before = await page.evaluate(() => window.seen.events);
    await page.waitForFunction((n) => window.seen.events >= n, before + BETWEEN);
    await stage.kill();
    await page.evaluate((name) => window.late(name), `late ${kill}`);
    await stage.serve();
    await page.waitForFunction((n) => window.seen.connections > n && window.seen.streamOpen > n, kill);
  }
  const record = await stage.record();
  await page.waitForFunction((last) => window.seen.resyncs.length || Object.entries(last).every(([id, n]) =>
    !n || window.seen.counts.all[id]?.includes(n) && window.seen.stream[id]?.includes(n)), record);
  const { counts, resyncs, errors, stream, streamCloses } = await page.evaluate(() => window.seen);
  assert.deepEqual(errors, []);
  assert.deepEqual(resyncs, []);
  const whole = (ids) => Object.fromEntries(ids.filter((id) => record[id])
    .map((id) => [id, Array.from({ length: record[id] }, (_, i) => i + 1)]));
  assert.deepEqual(counts.all, whole(Object.keys(record)));
  assert.deepEqual(streamCloses, []);
  assert.deepEqual(stream, counts.all);
  assert.deepEqual(counts.some, whole(['3', '4', '5']));
  assert.deepEqual(counts.one, whole(['4']));
  for (let kill = 1; kill <= KILLS; kill++) {
    for (const [id, list] of Object.entries(counts[`late ${kill}`])) {
      assert.deepEqual(list, counts.all[id].slice(-list.length), `late ${kill}`);
    }
  }
  assert.ok(subscribed.length >= 3 + 3 * KILLS);
  for (const { ref, resumed } of subscribed.slice(3)) assert.ok(resumed, `subscription ${ref} was not resumed`);
});
