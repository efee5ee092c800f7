// The demo as a visitor sees it: real browsers, the real bridge, a real database.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Demo, launch, SIZES, Visitor } from './demo.mjs';

let demo, browser, requester, approver, clerk;

before(async () => {
  demo = await Demo.start('--rate', '6');
  browser = await launch();
  [requester, approver, clerk] = await Promise.all(['requester', 'approver', 'clerk']
    .map((role) => Visitor.open(browser, demo, role)));
}, { timeout: 300_000 });

after(async () => {
  await browser?.close();
  demo?.clean();
});

test('an UPDATE arrives on the page of its requester, with badge, toast and time', async () => {
  const { id } = await requester.update('requests', { group: `${requester.user.first} may see`, value: 'approved' });
  await requester.page.locator('#sql-trace').getByText('On this screen').waitFor();
  await requester.page.locator('#sql-trace time').nth(2).waitFor();
  await requester.row('expense-requests', id).locator('.badge', { hasText: 'Approved' }).waitFor();
  await requester.page.locator('.toast', { hasText: 'was approved' }).first().waitFor();
  assert.match(await requester.page.locator('#live-ms').textContent(), /^(<1|\d+) ms$|^\d+\.\d s$/);
});

test('an UPDATE of a row that is not theirs sends them nothing', async () => {
  const { id } = await clerk.update('requests', { group: 'Not ', value: 'rejected' });
  await clerk.page.locator('#sql-trace').getByText('Nothing was sent here').waitFor();
  const theirs = approver.events.filter((event) => String(event.resource_id) === id
    && event.resource === 'expense-requests' && event.data.status === 'rejected');
  assert.equal(theirs.length, 1, 'the approver, who may see it, was not sent it once');
  assert.ok(!clerk.events.some((event) => event.txid === theirs[0].txid));
});

test('stock moves for the clerk and for nobody else', async () => {
  const { id, value } = await clerk.update('stock', { group: `${clerk.user.first} may see` });
  const row = clerk.page.locator(`#stock tr[data-key="${id}"]`);
  await row.locator('.quantity', { hasText: new RegExp(`^${Number(value).toLocaleString('en')}$`) }).waitFor();
  await row.locator('.was').waitFor();
  await clerk.page.locator('#sql-trace').getByText('Click to screen').waitFor();
  await requester.page.getByText('Nothing here is yours to see').waitFor();
  for (const other of [requester, approver]) {
    assert.ok(!other.events.some((event) => event.channel === 'stock'), `stock was sent to the ${other.user.role}`);
  }
});

test('stock that falls below its level warns the clerk', async () => {
  const { id } = await clerk.update('stock', { group: `${clerk.user.first} may see`, value: '0' });
  await clerk.page.locator(`#stock tr[data-key="${id}"] .badge`, { hasText: 'Out' }).waitFor();
  await clerk.page.locator('.toast.warn').first().waitFor();
});

test('a decision of the approver reaches the requester: badge, bell and toast', async () => {
  const { page } = approver;
  const mine = page.locator('#requests-list li', { hasText: requester.user.name, has: page.locator('.yes') });
  if (!await mine.count()) await page.locator('#requests-more').click();
  const key = await mine.first().getAttribute('data-key');
  const number = (await mine.first().locator('.meta').textContent()).split(' · ')[0];
  const before = Number(await requester.page.locator('#bell-count').textContent() || 0);
  await page.locator(`[data-key="${key}"]`).getByRole('button', { name: `Reject ${number}` }).click();
  await page.locator(`[data-key="${key}"] .badge`, { hasText: 'Rejected' }).waitFor();
  await requester.page.locator('.toast', { hasText: `${number} was rejected` }).waitFor();
  await requester.page.waitForFunction((n) => Number(document.getElementById('bell-count').textContent) > n, before);
  await requester.page.locator('#bell').click();
  await requester.page.locator('#bell-list li.unread', { hasText: `${number} was rejected` }).waitFor();
  await requester.page.locator('#bell-read').click();
  await requester.page.locator('#bell-count').waitFor({ state: 'hidden' });
  await requester.page.keyboard.press('Escape');
  await requester.page.locator('#bell-panel').waitFor({ state: 'hidden' });
});

test('the wire panel shows the frames and counts what was committed and what was sent', async () => {
  const { page } = requester;
  await page.waitForFunction(() => Number(document.getElementById('wire-committed').textContent) > 10);
  const [committed, sent] = await Promise.all(['#wire-committed', '#wire-sent']
    .map(async (id) => Number((await page.locator(id).textContent()).replaceAll(',', ''))));
  assert.ok(sent > 0 && sent < committed, `${sent} sent of ${committed}`);
  await page.locator('#wire-frames summary', { hasText: 'approval_status_changed' }).first().click();
  await page.locator('#wire-frames details[open] pre .key', { hasText: '"requested_by_id"' }).waitFor();
});

test('a switch of the user shows another person’s page, and theirs alone', async () => {
  const visitor = await Visitor.open(browser, demo, 'clerk');
  await visitor.page.locator('#stock tbody tr').first().waitFor();
  const { user } = approver;
  await visitor.page.getByRole('radio', { name: user.name }).check({ force: true });
  await visitor.page.getByRole('heading', { level: 1, name: user.name }).waitFor();
  await visitor.live();
  assert.equal(await visitor.page.locator('#stock tbody tr').count(), 0);
  await visitor.page.locator('#requests-list .yes').first().waitFor();
  await visitor.page.waitForFunction(() => document.querySelector('#wire-frames').textContent.includes('subscribed'));
  const welcomes = visitor.frames.filter((frame) => frame.type === 'welcome').map((frame) => frame.user);
  assert.deepEqual(welcomes, [clerk.user.id, user.id]);
  const at = visitor.frames.findLastIndex((frame) => frame.type === 'welcome');
  assert.ok(!visitor.frames.slice(at).some((frame) => frame.channel === 'stock' && frame.id));
  await visitor.close();
});

test('nobody was ever sent a row that is not theirs', () => {
  const own = (visitor) => visitor.events.filter((event) => event.data?.requested_by_id !== undefined);
  for (const event of own(requester)) assert.equal(String(event.data.requested_by_id), requester.user.id);
  assert.ok(own(requester).length > 0);
  const places = clerk.user.warehouses.map((place) => Number(place.id));
  const stock = clerk.events.filter((event) => event.channel === 'stock' && event.data);
  assert.ok(stock.length > 0);
  for (const event of stock) assert.ok(places.includes(event.data.warehouse_id));
  for (const event of own(clerk)) {
    const { requested_by_id: author, from_warehouse_id: from, to_warehouse_id: to } = event.data;
    assert.ok(String(author) === clerk.user.id || places.includes(from) || places.includes(to));
  }
  for (const visitor of [requester, approver, clerk]) {
    const ids = visitor.events.map((event) => event.id);
    assert.equal(new Set(ids).size, ids.length, 'an event was sent twice');
  }
});

test('the page fits desktop and phone, light and dark', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rowfeed-screens-'));
  for (const role of ['requester', 'approver', 'clerk']) {
    for (const size of Object.keys(SIZES)) {
      for (const scheme of ['light', 'dark']) {
        const visitor = await Visitor.open(browser, demo, role, { size, scheme });
        await visitor.page.locator('#requests-list li').first().waitFor();
        const [wide, shown] = await visitor.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide <= shown, `${role} on ${size}: ${wide} px wide in ${shown}`);
        await visitor.page.screenshot({ path: join(folder, `${role}-${size}-${scheme}.png`), fullPage: true });
        assert.deepEqual(visitor.complaints, []);
        await visitor.close();
      }
    }
  }
  console.log(`screenshots: ${folder}`);
});

test('Ctrl-C ends it: the page says that it reconnects, and nothing is left behind', async () => {
  for (const visitor of [requester, approver, clerk]) assert.deepEqual(visitor.complaints, []);
  const ended = await demo.stop();
  assert.deepEqual(ended, { code: 0, signal: null }, demo.output);
  await requester.page.locator('#live[data-state=reconnecting]', { hasText: 'Reconnecting' }).waitFor();
  assert.deepEqual(readdirSync(demo.temporary), []);
});
