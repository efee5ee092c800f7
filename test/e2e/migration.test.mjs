// A watched table is altered while everybody works on: the ERP's writes go through, the drift is found, the page is told,
// and again once migrate up has run.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Demo, isEvent, launch, Visitor } from './demo.mjs';

let demo, browser;

before(async () => {
  demo = await Demo.start('--rate', '6');
  browser = await launch();
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await demo?.stop();
  demo?.clean();
});

const drifts = ({ frames }) => frames.filter(({ type, reason }) => type === 'resync' && reason === 'drift').length;

// press runs the step that is next and waits until the card has told all of it.
async function press({ page }, label, last) {
  await page.locator('#migration-run', { hasText: label }).click();
  const trace = page.locator('#migration-trace');
  for (const text of ['UPDATE went through', last, 'Heard resync: fetched afresh']) await trace.getByText(text).waitFor();
  await page.locator('#migration-run:enabled').waitFor();
}

test('the table is altered, found, told, and mended, while changes go on coming', async () => {
  const requester = await Visitor.open(browser, demo, 'requester');
  const clerk = await Visitor.open(browser, demo, 'clerk');
  const { page } = requester;
  for (const type of ['numeric(16, 2)', 'numeric(14, 2)']) {
    const before = [requester, clerk].map(drifts);
    await press(requester, 'Alter the table', 'The bridge has found the drift');
    assert.ok((await page.locator('#migration-statement').textContent()).includes(`TYPE ${type}`));
    await page.locator('#migration-away').waitFor();
    await press(requester, 'Run rowfeed migrate up', 'The bridge sees that all is well');
    await page.locator('#migration-away').waitFor({ state: 'hidden' });
    assert.deepEqual([requester, clerk].map(drifts).map((n, i) => n - before[i] >= 2), [true, true]);
    const { txid } = await requester.change('requests',
      { group: `${requester.user.first} may see`, from: 'rejected', to: 'approved' });
    await requester.frame((frame) => isEvent(frame) && frame.txid === txid);
  }
  assert.equal(requester.sockets.length, 1, 'the connection was lost');
  assert.ok(!await requester.hasShown('toast', 'columns have changed'), 'the card has told it');
  for (const visitor of [requester, clerk]) {
    assert.deepEqual(visitor.complaints, []);
    await visitor.close();
  }
});

test('the card fits desktop and phone, light and dark, while the table has drifted', async () => {
  const first = await Visitor.open(browser, demo, 'approver');
  await press(first, 'Alter the table', 'The bridge has found the drift');
  for (const size of ['desktop', 'phone']) {
    for (const scheme of ['light', 'dark']) {
      const visitor = await Visitor.open(browser, demo, 'requester', { size, scheme });
      await visitor.page.locator('#migration-away').waitFor();
      await visitor.fits();
      await visitor.close();
    }
  }
  await press(first, 'Run rowfeed migrate up', 'The bridge sees that all is well');
  await first.close();
});
