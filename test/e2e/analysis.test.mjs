// React in a real browser against a bridge: the hooks under StrictMode while the bridge is killed, and the snippets of
// the ERP's analysis, word for word, on the plain endpoints.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PATIENCE } from './demo.mjs';
import { buildPages, openPage } from './page.mjs';
import { Stage } from './stage.mjs';

const KILLS = 3;
const BETWEEN = 150; // events that are shown between two kills

let stage, browser, pages;

before(async () => {
  [stage, browser, pages] = [await Stage.start(), await launch(), await buildPages()];
  await stage.serve();
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await stage?.stop();
  pages?.remove();
});

// open shows a page of its own, whose complaints and sockets it keeps.
async function open(name) {
  // Chromium can't tell that a page which the test answers for comes from this machine, as the bridge does.
  const context = await browser.newContext({ permissions: ['local-network-access'] });
  await context.addCookies([{ name: 'access_token', value: stage.token, url: `http://${stage.address}` }]);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  const sockets = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/WebSocket connection to|ERR_CONNECTION/.test(message.text())) complaints.push(message.text());
  });
  page.on('websocket', (socket) => {
    const kept = { url: socket.url(), sent: [], received: [] };
    sockets.push(kept);
    for (const what of ['sent', 'received']) {
      socket.on(`frame${what}`, ({ payload }) => kept[what].push(JSON.parse(String(payload))));
    }
  });
  await openPage(page, pages, stage.address, name);
  return { page, context, complaints, sockets };
}

const NAMES = ['all', 'same', 'some', 'one', 'named', 'plain'];
const isLive = (names) => names.every((name) => name === 'named' || window.statuses[name] === 'live');

test('StrictMode, several components on a channel, a bridge that is killed: nothing lost, nothing shown twice', async () => {
  const { page, context, complaints, sockets } = await open('strict');
  await page.evaluate(({ address, token }) => window.start(address, token), stage);
  await page.waitForFunction(isLive, NAMES);
  const [full] = sockets.filter(({ url }) => url.endsWith('/ws'));
  assert.equal(full.sent.filter(({ type }) => type === 'subscribe').length, 3, 'topics on the wire');
  assert.equal(full.sent.filter(({ type }) => type === 'unsubscribe').length, 0);
  assert.equal(sockets.length, 2, 'one socket for the client, one for the plain endpoint');
  stage.write();
  const shown = () => page.evaluate(() => Object.values(window.shown.all).flat().length);
  for (let kill = 1; kill <= KILLS; kill++) {
    await page.waitForFunction((n) => Object.values(window.shown.all).flat().length >= n, await shown() + BETWEEN);
    await until(() => haveCursors(sockets, 1, '/ws', '/ws/counters')); // else there is nothing to go on from
    await stage.kill();
    await page.waitForFunction(() => window.statuses.all === 'subscribing' && window.statuses.plain === 'lost');
    await page.evaluate((name) => window.add(name), `late ${kill}`);
    await stage.serve();
    await page.waitForFunction(isLive, [...NAMES, `late ${kill}`]);
  }
  const record = await stage.record();
  await page.waitForFunction((last) => window.resyncs.length || Object.entries(last).every(([id, n]) =>
    !n || ['all', 'named', 'plain'].every((name) => window.shown[name][id]?.includes(n))), record);
  assert.deepEqual(await page.evaluate(() => window.resyncs), []);
  assert.deepEqual(complaints, []);
  const told = await page.evaluate(() => window.shown);
  const whole = (ids) => Object.fromEntries(ids.filter((id) => record[id])
    .map((id) => [id, Array.from({ length: record[id] }, (_, i) => i + 1)]));
  for (const name of ['all', 'same', 'named', 'plain']) assert.deepEqual(told[name], whole(Object.keys(record)), name);
  assert.deepEqual(told.some, whole(['3', '4', '5']));
  assert.deepEqual(told.one, whole(['4']));
  for (let kill = 1; kill <= KILLS; kill++) {
    for (const [id, list] of Object.entries(told[`late ${kill}`])) {
      assert.deepEqual(list, told.all[id].slice(-list.length), `late ${kill}`);
    }
  }
  await context.close();
});

for (const which of ['theirs', 'ours']) {
  test(`the analysis's snippets as they stand, on the useWebSocket that is ${which}`, async () => {
    const { page, context, complaints, sockets } = await open('analysis');
    await page.evaluate((name) => window.run(name), which);
    await page.locator('#connected', { hasText: 'true' }).waitFor();
    const opened = () => new Set(sockets.map(({ url }) => new URL(url).pathname));
    assert.deepEqual(opened(), new Set(['/ws/notifications/', '/ws/approvals/']));
    await until(async () => { // open means live, and the page can't tell of the bell's socket
      await stage.sql("insert into notification (user_id, kind, message, link) values (1, 'probe', 'are you there', '/')");
      return page.evaluate(() => window.toasts.length > 0);
    });
    await stage.sql("insert into notification (user_id, kind, message, link) values"
      + " (2, 'leave', 'Not yours', '/'), (1, 'leave', 'Your leave request was approved', '/hr/leave/7')");
    await page.locator('#bell li').first().filter({ hasText: 'Your leave request was approved' }).waitFor();
    assert.equal(await page.evaluate(() => window.toasts.filter((text) => text.startsWith('Your leave')).length), 1);
    assert.ok(!await page.evaluate(() => window.toasts.includes('Not yours')));

    await page.locator('#expense-17', { hasText: '1' }).waitFor();
    await page.locator('#expense-18', { hasText: '1' }).waitFor();
    await stage.sql(`update expense_request set status = 'approved by ${which}' where id = 17`);
    await page.locator('#expense-17', { hasText: '2' }).waitFor();
    assert.deepEqual(await page.evaluate(() => window.fetches), { 17: 2, 18: 1 });

    if (which === 'ours') await comesBack(page, sockets);
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

// comesBack kills the bridge and makes a change meanwhile: the snippets, which know of no reconnection, show it once.
async function comesBack(page, sockets) {
  // Without a cursor there is nothing to go on from, and the first may lie before the page: what was changed then comes too.
  await until(async () => {
    await stage.sql("insert into notification (user_id, kind, message, link) values (1, 'probe', 'still there', '/')");
    await stage.sql("update expense_request set status = status || '.' where id = 19");
    return haveCursors(sockets, 2, '/ws/notifications/', '/ws/approvals/');
  });
  await stage.kill();
  await page.locator('#connected', { hasText: 'false' }).waitFor();
  await stage.sql("insert into notification (user_id, kind, message, link) values (1, 'po', 'PO needs your approval', '/')");
  await stage.sql("update expense_request set status = 'paid' where id = 17");
  await stage.serve();
  await page.locator('#bell li').first().filter({ hasText: 'PO needs your approval' }).waitFor();
  await page.locator('#expense-17', { hasText: '3' }).waitFor();
  assert.equal(await page.evaluate(() => window.toasts.filter((text) => text.startsWith('PO')).length), 1);
  assert.deepEqual(await page.evaluate(() => window.fetches), { 17: 3, 18: 1 });
}

// haveCursors tells whether the newest socket to each path has been given so many cursors.
function haveCursors(sockets, n, ...paths) {
  const given = ({ received }) => received.flatMap(({ cursor, cursors = {} }) => cursor ?? Object.values(cursors));
  return paths.every((path) => new Set(given(sockets.findLast(({ url }) => new URL(url).pathname === path))).size >= n);
}

// until waits for what is true at last.
async function until(holds) {
  const end = Date.now() + PATIENCE;
  while (!await holds()) {
    if (Date.now() > end) throw new Error(`not in time: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
