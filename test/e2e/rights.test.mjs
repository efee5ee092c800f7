// A right is taken away while its owner looks on: the rows go, the feed goes quiet, and all of it comes back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Demo, isEvent, launch, Visitor } from './demo.mjs';

let demo, browser, requester;

before(async () => {
  demo = await Demo.start('--rate', '6');
  browser = await launch();
  requester = await Visitor.open(browser, demo, 'requester');
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await demo?.stop();
  demo?.clean();
});

const trace = ({ page }) => page.locator('#rights-trace');
const right = ({ page }, name) => page.getByRole('switch', { name });

// turn presses the switch and waits until the card has told what came of it. It returns how many rows went or came.
async function turn(visitor, name, held) {
  await right(visitor, name).click();
  await trace(visitor).getByText('Heard resync: grants changed').waitFor();
  const fetched = /^Fetched afresh, (\d[\d,]*) rows? /;
  const text = await trace(visitor).locator('li', { hasText: held ? 'came back' : 'went' }).textContent();
  return Number(text.match(fetched)[1].replaceAll(',', ''));
}

// decide changes one of the requester's rows and returns the transaction.
async function decide() {
  const { txid } = await requester.change('requests',
    { group: `${requester.user.first} may see`, from: 'rejected', to: 'approved' });
  await requester.frame((frame) => frame.txid === txid);
  return txid;
}

const isTo = (txid) => (frame) => isEvent(frame) && frame.txid === txid && frame.channel === 'approvals';

test('an approver who is no longer one sees nothing of the others’ requests, until it is given back', async () => {
  const approver = await Visitor.open(browser, demo, 'approver');
  const { page } = approver;
  await approver.frame(isTo(await decide()));
  await page.locator('#requests-list .yes').first().waitFor();

  assert.ok(await turn(approver, 'finance-approver', false) > 0);
  const statement = page.locator('#rights-statement');
  assert.match(await statement.textContent(), /DELETE FROM auth_user_groups\s+WHERE user_id = \d+/);
  await page.locator('#requests-list', { hasText: 'Not yours to see any more' }).waitFor();
  await approver.frame((frame) => frame.type === 'resync' && frame.reason === 'grants_changed');
  const unseen = [await decide(), await decide(), await decide()];
  const counted = page.locator('#rights-unseen');
  await page.waitForFunction((n) => Number.parseInt(document.getElementById('rights-unseen').textContent, 10) >= n,
    unseen.length);
  assert.match(await counted.textContent(), /: 0 arrived\.$/);

  assert.ok(await turn(approver, 'finance-approver', true) > 0);
  assert.match(await statement.textContent(), /INSERT INTO auth_user_groups/);
  await page.locator('#requests-list .yes').first().waitFor();
  await counted.waitFor({ state: 'hidden' });
  await approver.frame(isTo(await decide())); // what the channel had for this page before has come
  assert.deepEqual(unseen.filter((txid) => approver.frames.some(isTo(txid))), []);
  // Whoever's rights have changed proves anew who they are, on another connection.
  assert.equal(approver.sockets.length, 3, 'the connection was lost');
  assert.equal(await page.locator('#outage-trace li').count(), 0, 'the connection was lost');
  assert.ok(!await approver.hasShown('toast', 'fetched afresh'), 'the card has told it');
  assert.deepEqual(approver.complaints, []);
  await approver.close();
});

test('a clerk who is taken off one warehouse keeps the other; the keyboard is enough', async () => {
  const clerk = await Visitor.open(browser, demo, 'clerk');
  const { page, user } = clerk;
  const [lost, kept] = user.warehouses;
  await page.locator('#stock-tabs [data-value=all]').click();
  const rows = (place) => page.locator('#stock tbody tr', { hasText: place.name });
  for (const place of [lost, kept]) await rows(place).first().waitFor();
  await right(clerk, lost.name).focus();
  await page.keyboard.press('Space');
  await trace(clerk).getByText(/rows went/).waitFor();
  assert.ok(await right(clerk, lost.name).evaluate((input) => document.activeElement === input && !input.checked));
  await page.locator('#stock-tabs [data-value=all]').click();
  await rows(kept).first().waitFor();
  assert.equal(await rows(lost).count(), 0);

  const id = await page.locator('#sql-row optgroup[label^="Not "] option', { hasText: lost.name }).first()
    .getAttribute('value');
  await clerk.update('stock', { row: id, value: '6000' });
  const { txid } = await clerk.update('stock', { row: id, value: '5999' });
  await page.locator('#sql-trace').getByText('Nothing was sent here').waitFor();
  const sentinel = await clerk.change('stock', { group: `${user.first} may see`, from: '6000', to: '5123' });
  await clerk.frame((frame) => frame.txid === sentinel.txid);
  assert.ok(!clerk.events.some((event) => event.txid === txid));

  await turn(clerk, lost.name, true);
  await page.locator('#stock-tabs [data-value=all]').click();
  await rows(lost).first().waitFor();
  assert.deepEqual(clerk.complaints, []);
  await clerk.close();
});

test('a right comes back when the page that took it away closes, or shows somebody else', async () => {
  const onlooker = await Visitor.open(browser, demo, 'approver');
  const held = (yes) => onlooker.page.locator(`#rights .toggle${yes ? ':checked' : ':not(:checked)'}`).waitFor();
  const leave = {
    close: (visitor) => visitor.close(),
    reload: (visitor) => visitor.page.reload(),
    switch: (visitor) => visitor.page.getByRole('radio', { name: requester.user.name }).check({ force: true }),
  };
  for (const [how, go] of Object.entries(leave)) {
    const visitor = await Visitor.open(browser, demo, 'approver');
    await held(true);
    await turn(visitor, 'finance-approver', false);
    await held(false);
    await onlooker.page.locator('#requests-list', { hasText: 'Not yours to see any more' }).waitFor();
    await go(visitor);
    await held(true);
    await onlooker.page.locator('#requests-list .yes').first().waitFor();
    if (how !== 'close') await visitor.close();
  }
  await onlooker.shown('toast', 'What you may see has changed');
  assert.deepEqual(onlooker.complaints, []);
  await onlooker.close();
});

test('who has no right to lose is told so, and can look on as somebody who has', async () => {
  const visitor = await Visitor.open(browser, demo, 'requester');
  const { page } = visitor;
  await page.locator('#rights-hint', { hasText: 'no group, no warehouse' }).waitFor();
  const clerk = visitor.setup.users.find(({ role }) => role === 'clerk');
  await page.locator('#rights').getByRole('button', { name: clerk.name }).click();
  await page.getByRole('heading', { level: 1, name: clerk.name }).waitFor();
  for (const { name } of clerk.warehouses) await right(visitor, name).waitFor();
  await visitor.close();
});

test('the card fits desktop and phone, light and dark, while a right is away', async () => {
  for (const size of ['desktop', 'phone']) {
    for (const scheme of ['light', 'dark']) {
      const visitor = await Visitor.open(browser, demo, 'clerk', { size, scheme });
      await turn(visitor, visitor.user.warehouses[0].name, false);
      await visitor.page.locator('#rights-unseen').waitFor();
      await visitor.fits();
      await visitor.close();
    }
  }
});
