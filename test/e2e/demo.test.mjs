// The demo as a visitor sees it: real browsers, the real bridge, a real database.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Demo, isEvent, launch, SIZES, Visitor } from './demo.mjs';

let demo, browser, requester, approver, clerk;

before(async () => {
  demo = await Demo.start('--rate', '6');
  browser = await launch();
  [requester, approver, clerk] = await Promise.all(['requester', 'approver', 'clerk']
    .map((role) => Visitor.open(browser, demo, role)));
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  demo?.clean();
});

test('an UPDATE arrives on the page of its requester, with badge, toast and time', async () => {
  const { page, user } = requester;
  const { id, txid } = await requester.change('requests',
    { group: `${user.first} may see`, from: 'rejected', to: 'approved' });
  await page.locator('#sql-trace').getByText('On this screen').waitFor();
  await page.locator('#sql-trace time').nth(2).waitFor();
  const { message } = await requester.frame((frame) => frame.txid === txid);
  assert.match(message, /^Your expense request \S+ was approved$/);
  await requester.shown('badge', 'Approved', `expense-requests/${id}`);
  await requester.shown('toast', message);
  await page.waitForFunction(() => /^(<1|\d+) ms$|^\d+\.\d s$/.test(document.getElementById('live-ms').textContent));
});

test('an UPDATE of a row that is not theirs sends them nothing', async () => {
  const { txid } = await clerk.change('requests', { group: 'Not ', from: 'approved', to: 'rejected' });
  await clerk.page.locator('#sql-trace').getByText('Nothing was sent here').waitFor();
  const { data } = await approver.frame((frame) => frame.txid === txid);
  assert.equal(data.status, 'rejected');
  assert.ok(!clerk.events.some((event) => event.txid === txid));
});

test('stock moves for the clerk and for nobody else', async () => {
  const { id, txid } = await clerk.change('stock', { group: `${clerk.user.first} may see`, from: '6000', to: '5123' });
  await clerk.page.locator('#sql-trace').getByText('Click to screen').waitFor();
  await clerk.frame((frame) => frame.txid === txid && frame.data.new_quantity === 5123);
  await clerk.shown('quantity', '5,123', id);
  await clerk.page.locator('#stock .was').first().waitFor();
  await requester.page.getByText('Nothing here is yours to see').waitFor();
  for (const other of [requester, approver]) {
    assert.ok(!other.events.some((event) => event.channel === 'stock'), `stock was sent to the ${other.user.role}`);
  }
});

test('stock that falls below its level warns the clerk', async () => {
  const { id, txid } = await clerk.change('stock', { group: `${clerk.user.first} may see`, from: '6000', to: '0' });
  const { message } = await clerk.frame((frame) => frame.txid === txid && frame.type === 'low_stock');
  await clerk.shown('badge', 'Out', id);
  await clerk.shown('toast', message);
});

test('a decision of the approver reaches the requester: badge, bell and toast', async () => {
  const { key, number } = await decide(approver, requester.user, 'Reject');
  const said = `${number} was rejected`;
  await approver.shown('badge', 'Rejected', key);
  await requester.shown('toast', said);
  await requester.shown('badge', 'Rejected', key);
  const { page } = requester;
  await page.locator('#bell-count').waitFor();
  await page.locator('#bell').click();
  await page.locator('#bell-list li.unread', { hasText: said }).waitFor();
  await page.locator('#bell-read').click();
  await page.locator('#bell-list li:not(.unread)', { hasText: said }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#bell-panel').waitFor({ state: 'hidden' });
});

// decide presses the button of the author's newest request that waits, on the approver's page. Those who work in the
// sample ERP take the oldest.
async function decide({ page }, author, verdict) {
  const mine = page.locator('#requests-list li', { hasText: author.name, has: page.locator('.yes') }).first();
  const more = page.locator('#requests-more[data-all=false]');
  await mine.or(more).first().waitFor();
  if (!await mine.count()) await more.click();
  const [key, number] = await mine.evaluate((item) => [item.dataset.key,
    item.querySelector('.meta').textContent.split(' · ')[0]]);
  await page.locator(`[data-key="${key}"]`).getByRole('button', { name: `${verdict} ${number}` }).click();
  return { key, number };
}

test('the wire panel shows the frames and counts what was committed and what was sent', async () => {
  const { page, user } = requester;
  await requester.change('requests', { group: `${user.first} may see`, from: 'rejected', to: 'approved' });
  await page.locator('#sql-trace').getByText('Click to screen').waitFor();
  const counts = () => ['wire-committed', 'wire-sent']
    .map((id) => Number(document.getElementById(id).textContent.replaceAll(',', '')));
  await page.waitForFunction(`(${counts})()[0] > 10`);
  const [committed, sent] = await page.evaluate(counts);
  assert.ok(sent > 0 && sent < committed, `${sent} sent of ${committed}`);
  await page.locator('#wire-frames summary', { hasText: 'approval_status_changed' }).first().click();
  await page.locator('#wire-frames details[open] pre .key', { hasText: '"requested_by_id"' }).first().waitFor();
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
  await visitor.frame((frame) => frame.type === 'welcome' && frame.user === user.id);
  const whose = ({ frames }) => frames.find((frame) => frame.type === 'welcome')?.user;
  assert.equal(whose(visitor.sockets[0]), clerk.user.id);
  for (const socket of visitor.sockets.filter((one) => whose(one) === user.id)) {
    assert.ok(!socket.frames.some((frame) => isEvent(frame) && frame.channel === 'stock'));
  }
  await visitor.close();
});

test('what a page missed while it was offline comes when it is back, each change once', async () => {
  const visitor = await Visitor.open(browser, demo, 'approver');
  const { page } = visitor;
  const { channels } = visitor.setup;
  await visitor.frame((frame) => frame.type === 'heartbeat' && channels.every((channel) => frame.cursors[channel]));
  await page.getByRole('button', { name: 'Go offline' }).click();
  await page.locator('#live[data-state=offline]', { hasText: 'Offline' }).waitFor();
  const told = [];
  for (const [from, to] of [['rejected', 'approved'], ['approved', 'paid'], ['paid', 'rejected']]) {
    const { txid } = await approver.change('requests', { group: `${approver.user.first} may see`, from, to });
    told.push(await approver.frame((frame) => frame.txid === txid));
  }
  await page.locator('#outage-away', { hasText: /Nothing has reached this page for \d+ s\. The database/ }).waitFor();
  await page.getByRole('button', { name: 'Go online again' }).click();
  await visitor.live();
  await visitor.frame(({ id }) => id === told.at(-1).id);
  const missed = page.locator('#outage-trace li', { hasText: 'Missed here and sent now, each once' });
  await missed.waitFor();

  const [before, now] = visitor.sockets.map(({ frames }) => frames);
  const [had, has] = [before, now].map((frames) => frames.filter(isEvent).map(({ id }) => id));
  const span = told.map(({ at }) => Date.parse(at));
  for (const { id, at } of approver.events) { // the other window of the same person, which was never away
    const when = Date.parse(at);
    if (when > span[0] && when < span.at(-1)) assert.ok(has.includes(id), `${id} was not sent`);
  }
  assert.equal(new Set(has).size, has.length, 'an event was sent twice');
  const count = Number((await missed.locator('time').textContent()).replaceAll(',', ''));
  const fresh = has.filter((id) => !had.includes(id)).length;
  assert.ok(count >= told.length && count <= fresh, `${count} counted of ${fresh}`);
  assert.equal(now.filter(({ type, resumed }) => type === 'subscribed' && resumed).length, channels.length);
  assert.equal(await page.locator('#wire-frames em', { hasText: /^from cursor$/ }).count(), channels.length);
  assert.equal(await page.locator('#wire-frames em', { hasText: /^resumed$/ }).count(), channels.length);
  assert.ok(!await visitor.hasShown('toast', 'fetched afresh'));
  assert.deepEqual(visitor.complaints, []);
  await visitor.close();
});

test('a page that can’t be told what it missed says so, and fetches everything afresh', async () => {
  let place;
  const placed = new Promise((resolve) => { place = resolve; });
  const prepare = (page) => page.routeWebSocket(/\/ws$/, (socket) => {
    const bridge = socket.connectToServer();
    // As from a page that was opened before the database was set back.
    socket.onMessage((text) => bridge.send(text.replace(/"cursor":"[^":]+/, '"cursor":"elsewhere')));
    bridge.onMessage((text) => {
      socket.send(text);
      if (JSON.parse(text).cursors?.approvals) place();
    });
  });
  const visitor = await Visitor.open(browser, demo, 'requester', { prepare });
  const { page } = visitor;
  await placed;
  await page.getByRole('button', { name: 'Go offline' }).click();
  await page.locator('#live[data-state=offline]').waitFor();
  const fetched = page.waitForResponse((response) => response.url().endsWith('/api/requests'));
  await page.getByRole('button', { name: 'Go online again' }).click();
  await fetched;
  await visitor.shown('toast', 'Everything here was fetched afresh');
  await page.locator('#outage-trace .wrong', { hasText: 'The database has been set back or replaced' }).waitFor();
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
    for (const { frames } of visitor.sockets) {
      const ids = frames.filter(isEvent).map((event) => event.id);
      assert.equal(new Set(ids).size, ids.length, 'an event was sent twice');
    }
  }
});

test('the page fits desktop and phone, light and dark', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rowfeed-screens-'));
  for (const role of ['requester', 'approver', 'clerk']) {
    for (const size of Object.keys(SIZES)) {
      for (const scheme of ['light', 'dark']) {
        const visitor = await Visitor.open(browser, demo, role, { size, scheme });
        const rows = role === 'clerk' ? '#stock tbody tr' : '#requests-list [data-key]';
        await visitor.page.locator(rows).first().waitFor();
        await visitor.fits();
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
