// The page through what happens to connections: another user beside it, a network that goes, a bridge that is killed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { APART, Demo, launch, PATIENCE, Visitor } from './demo.mjs';

const KILLS = 2;
const DECISIONS = 4; // while it is away

let demo, bridge, browser, requester, approver, clerk;

before(async () => {
  demo = await Demo.start('--rate', '0', '--bridge', APART);
  bridge = demo.bridge();
  await bridge.start();
  browser = await launch();
  [requester, approver, clerk] = await Promise.all(['requester', 'approver', 'clerk']
    .map((role) => Visitor.open(browser, demo, role)));
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await bridge?.kill();
  await demo?.stop();
  demo?.clean();
});

// ask speaks to the ERP's REST interface as the visitor's user, whatever becomes of the page's connection.
async function ask({ page, user }, path, body) {
  const { token } = await (await page.request.get(`${demo.address}/demo/token?user=${user.id}`)).json();
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await (body ? page.request.post(demo.address + path, { headers, data: body })
    : page.request.get(demo.address + path, { headers }));
  assert.ok(answer.ok(), `${path}: ${answer.status()}`);
  return answer.json();
}

// rows are those to try an UPDATE on that the visitor may see.
async function rows(visitor, kind) {
  const tables = await ask(visitor, '/demo/rows');
  return tables[kind].rows.filter((row) => row.seen_by.includes(visitor.user.id));
}

// decide makes some of the requester's requests wait once more, and has the approver decide on them. It returns which,
// how many events the requester is due, and the messages.
async function decide(many) {
  const own = await rows(requester, 'requests');
  assert.ok(own.length >= many);
  const said = [];
  let due = 0;
  for (const { id, label, value: before } of own.slice(0, many)) {
    const message = (status) => `Your expense request ${label.split(', ')[0]} was ${status}`;
    if (before !== 'paid') said.push(message('paid'));
    for (const value of ['paid', 'pending']) {
      const { changed } = await ask(requester, '/demo/update', { kind: 'requests', id, value });
      due += Number(changed);
    }
    await ask(approver, `/api/requests/expense-requests/${id}/decision`, { decision: 'approved' });
    said.push(message('approved'));
    due += 2; // the status, and a notification
  }
  return { ids: own.slice(0, many).map(({ id }) => id), due, said };
}

// placed waits until the page has been told, for each channel, a place to go on from.
const placed = (visitor) => visitor.frame((frame) => frame.type === 'heartbeat'
  && visitor.sockets.at(-1).frames.includes(frame)
  && visitor.setup.channels.every((channel) => frame.cursors[channel]));

// back waits until the page is live again and has told that it missed so many events.
async function back({ page }, missed) {
  await page.locator('#live[data-state=live]').waitFor();
  const line = page.locator('#outage-trace li', { hasText: 'Missed here and sent now, each once' });
  await line.locator('time', { hasText: new RegExp(`^${missed}$`) }).waitFor();
}

// times tells how often the page has shown a quantity of a stock level.
const times = ({ page }, key, text) => page.evaluate((wanted) => window.shown.filter((one) => one.what === 'quantity'
  && one.key === wanted.key && one.text === wanted.text).length, { key, text });

test('two people side by side: a decision of the one is on the other’s page within a second', async () => {
  const { id } = (await rows(requester, 'requests')).find(({ value }) => value === 'pending');
  const key = `expense-requests/${id}`;
  await approver.page.locator('#requests-more[data-all=false]').click();
  const button = approver.row('expense-requests', id).getByRole('button', { name: /^Approve/ });
  await button.waitFor();
  // Both pages and this test have the same clock.
  const seen = requester.page.evaluate((wanted) => new Promise((resolve) => {
    const look = () => window.shown.some((one) => one.what === 'badge' && one.key === wanted && one.text === 'Approved')
      && resolve(Date.now());
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
  }), key);
  const committed = approver.page.waitForResponse((response) => response.url().endsWith('/decision'))
    .then(() => Date.now());
  await button.click();
  const took = await seen - await committed;
  console.log(`on the other page ${took} ms after the ERP's answer`);
  assert.ok(took < 1000, `${took} ms`);
  await approver.shown('badge', 'Approved', key);
});

test('a second tab of the same person shares the socket, and a message is one toast', async () => {
  const { page, context } = requester;
  const second = await context.newPage();
  await second.goto(page.url());
  await second.locator('#wire-tabs', { hasText: 'Another tab holds the connection' }).waitFor();
  const tabs = [page, second];
  const toasts = async () => (await Promise.all(tabs.map((tab) => tab.evaluate(() => window.shown
    .filter(({ what }) => what === 'toast').map(({ text }) => text))))).flat().sort();
  const before = await toasts();
  const { ids, said } = await decide(2);
  for (const id of ids) {
    for (const tab of tabs) {
      await tab.locator(`[data-key="expense-requests/${id}"] .badge`, { hasText: 'Approved' }).waitFor();
    }
  }
  const due = [...before, ...said].sort();
  for (const end = Date.now() + PATIENCE; (await toasts()).length < due.length && Date.now() < end;);
  assert.deepEqual(await toasts(), due);
  assert.ok(await second.locator('#wire-frames summary', { hasText: 'approval_status_changed' }).count() > 0);
  await page.locator('#wire-tabs', { hasText: 'This tab holds the connection' }).waitFor();
  await second.close();
});

test('a network that goes and comes back: the page says so, and shows what it missed', async () => {
  const { page } = requester;
  await placed(requester);
  await requester.context.setOffline(true);
  await page.locator('#live[data-state=reconnecting]').waitFor();
  const { ids, due } = await decide(DECISIONS);
  await requester.context.setOffline(false);
  await back(requester, due);
  for (const id of ids) {
    await requester.row('expense-requests', id).locator('.badge', { hasText: 'Approved' }).waitFor();
  }
});

test('a bridge that is killed and started again: nothing is lost, and nothing comes twice', async () => {
  await ask(requester, '/api/notifications/read', {});
  await requester.page.reload();
  await requester.live();
  let fetched = 0;
  clerk.page.on('request', (request) => { fetched += request.url().endsWith('/api/stock') ? 1 : 0; });
  const levels = (await rows(clerk, 'stock')).slice(0, 5);
  for (let kill = 1; kill <= KILLS; kill++) {
    await Promise.all([requester, clerk].map(placed));
    await bridge.kill();
    for (const { page } of [requester, clerk]) await page.locator('#live[data-state=reconnecting]').waitFor();
    const { due } = await decide(DECISIONS);
    const moved = levels.map(({ id }, i) => ({ key: String(id), quantity: 7000 + 100 * kill + i }));
    for (const { key, quantity } of moved) {
      await ask(clerk, '/demo/update', { kind: 'stock', id: Number(key), value: String(quantity) });
    }
    await bridge.start();
    await back(requester, due);
    await back(clerk, moved.length);
    for (const { key, quantity } of moved) {
      const text = quantity.toLocaleString('en');
      await clerk.shown('quantity', text, key);
      assert.equal(await times(clerk, key, text), 1);
    }
  }
  assert.equal(fetched, 0, 'the stock was fetched afresh: the events alone should do');

  // The database's own record.
  const [{ unread, items }, stock] = [await ask(requester, '/api/notifications'), await ask(clerk, '/api/stock')];
  assert.equal(unread, KILLS * DECISIONS);
  await requester.page.locator('#bell-label', { hasText: `Notifications, ${unread} unread` }).waitFor();
  await requester.page.locator('#bell').click();
  const listed = await requester.page.locator('#bell-list li p').allTextContents();
  assert.deepEqual(listed, items.map(({ message }) => message));
  await clerk.page.locator('#stock-tabs [data-value=all]').click();
  for (const { id } of levels) {
    const { quantity } = stock.find((level) => level.id === id);
    const shown = clerk.page.locator(`#stock [data-key="${id}"] .quantity`);
    await shown.filter({ hasText: quantity.toLocaleString('en') }).waitFor();
  }
  for (const visitor of [requester, clerk]) {
    assert.ok(!await visitor.hasShown('toast', 'fetched afresh'));
    assert.ok(await visitor.page.locator('#outage-trace .wrong').count() === 0);
  }
});
