// Why each of the three people was sent a change or not, gate by gate.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Demo, launch, Visitor } from './demo.mjs';

let demo, browser, requester, approver;

before(async () => {
  demo = await Demo.start('--rate', '6');
  browser = await launch();
  [requester, approver] = await Promise.all(['requester', 'approver'].map((role) => Visitor.open(browser, demo, role)));
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await demo?.stop();
  demo?.clean();
});

const column = ({ page }, user) => page.locator('#why').getByRole('region', { name: user.name });
const outcome = (visitor, user, word) => column(visitor, user).locator('.badge', { hasText: word }).waitFor();

// stopped waits for the gate at which the event stopped, and returns its words.
async function stopped(visitor, user, gate) {
  await outcome(visitor, user, 'Not sent');
  const last = column(visitor, user).locator('.gates .no');
  assert.equal(await last.locator('b').textContent(), `${gate}: No.`);
  return last.locator('p').textContent();
}

test('an UPDATE is explained for each of the three, whether a page of theirs is open or not', async () => {
  const { page, user, setup } = requester;
  await requester.change('requests', { group: `${user.first} may see`, from: 'rejected', to: 'approved' });
  await page.locator('#sql-trace').getByText('Click to screen').waitFor();
  const button = page.locator('#sql').getByRole('button', { name: 'Why?' });
  await button.focus();
  await page.keyboard.press('Enter');
  await outcome(requester, user, /^Sent$/);
  await outcome(requester, approver.user, /^Sent$/);
  assert.equal(await column(requester, user).locator('.gates .yes').count(), 8);
  const clerk = setup.users.find(({ role }) => role === 'clerk');
  assert.match(await stopped(requester, clerk, 'Grants held'), new RegExp(`None of what ${clerk.first} holds`));
  await page.keyboard.press('Escape');
  await page.locator('#why').waitFor({ state: 'hidden' });
  assert.ok(await button.evaluate((el) => document.activeElement === el), 'the focus is lost');
});

test('a frame on the wire is explained, and who has no page open is told from who may not see it', async () => {
  const clerk = await Visitor.open(browser, demo, 'clerk');
  const { page, user } = clerk;
  await clerk.change('stock', { group: `${user.first} may see`, from: '6000', to: '5123' });
  const summary = page.locator('#wire-frames summary', { hasText: 'stock_changed' }).first();
  await summary.click();
  await page.locator('#wire-frames details[open]').getByRole('button', { name: 'Why?' }).first().click();
  await outcome(clerk, user, /^Sent$/);
  for (const other of [requester.user, approver.user]) {
    assert.match(await stopped(clerk, other, 'Grants held'), new RegExp(`"user:${other.id}"`));
  }
  await page.locator('#why-close').click();
  assert.deepEqual(clerk.complaints, []);
  await clerk.close();
});

test('a right that is away is the reason', async () => {
  await approver.page.getByRole('switch', { name: 'finance-approver' }).click();
  await approver.page.locator('#rights-trace').getByText(/rows? went/).waitFor();
  const { page, user } = requester;
  await requester.change('requests', { group: `${user.first} may see`, from: 'rejected', to: 'approved' });
  await page.locator('#sql-trace').getByText('Click to screen').waitFor();
  await page.locator('#sql').getByRole('button', { name: 'Why?' }).click();
  await outcome(requester, user, /^Sent$/);
  const words = await stopped(requester, approver.user, 'Grants held');
  assert.ok(words.includes(`"user:${approver.user.id}"`) && !words.includes('"role:finance-approver"'), words);
  await page.locator('#why-close').click();
  await approver.page.getByRole('switch', { name: 'finance-approver' }).click();
  await approver.page.locator('#rights-trace').getByText(/rows? came back/).waitFor();
  for (const visitor of [requester, approver]) assert.deepEqual(visitor.complaints, []);
});

test('the explanation fits desktop and phone, light and dark', async () => {
  for (const size of ['desktop', 'phone']) {
    for (const scheme of ['light', 'dark']) {
      const visitor = await Visitor.open(browser, demo, 'approver', { size, scheme });
      const { page, user } = visitor;
      await visitor.change('requests', { group: `${user.first} may see`, from: 'rejected', to: 'approved' });
      await page.locator('#sql').getByRole('button', { name: 'Why?' }).click();
      await outcome(visitor, user, /^Sent$/);
      await visitor.fits();
      const [wide, inside] = await page.locator('#why').evaluate((el) => [el.scrollWidth, el.clientWidth]);
      assert.ok(wide <= inside, `${wide} px wide in ${inside}`);
      await visitor.close();
    }
  }
});
