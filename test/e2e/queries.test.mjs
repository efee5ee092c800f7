// A React page with 200 live queries while 1,000 rows a second change: it stays smooth, and ends as the database is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PATIENCE } from './demo.mjs';
import { Stage } from './stage.mjs';

const SECONDS = Number(process.env.ROWFEED_QUERIES_SECONDS ?? 60);
const LONG = 50; // ms
const TRACED = 10_000; // events

let stage, browser;

before(async () => {
  stage = await Stage.start({ page: 'client/test/tanstack/page' });
  browser = await launch();
  await stage.serve();
}, { timeout: 900_000 });

after(async () => {
  await browser?.close();
  await stage?.stop();
});

async function open(patch) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const settings = { url: `ws://${stage.address}/ws`, token: stage.token, api: stage.api, patch };
  await page.goto(`${stage.origin}/page/#${encodeURIComponent(JSON.stringify(settings))}`);
  await page.waitForFunction(() => document.querySelectorAll('[data-row]:not(:empty)').length === 190
    && document.querySelectorAll('[data-id]').length === 200);
  return page;
}

// shows tells, in the page, whether it shows each counter as often as it was changed, in both places.
function shows(record) {
  return [...document.querySelectorAll('[data-row], [data-id]')].every(({ dataset: { row, id }, textContent }) =>
    Number(textContent) === record[row ?? id]);
}

const forget = () => Object.assign(window.account, { events: 0, fetches: 0, longTasks: [], frames: [] });

// busiest is how long the longest tasks of the page's main thread computed, in ms, of those that a trace has. A task's
// own time on a processor does not grow with what else the machine has to do, as the time that passes does.
function busiest(trace) {
  const { traceEvents } = JSON.parse(String(trace));
  const mains = new Set(traceEvents.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    .map(({ pid, tid }) => `${pid}/${tid}`));
  const tasks = traceEvents.filter(({ name, tdur, pid, tid }) =>
    name.endsWith('RunTask') && tdur !== undefined && mains.has(`${pid}/${tid}`));
  assert.ok(tasks.length > TRACED / 10, `a trace of ${tasks.length} tasks`);
  return tasks.map(({ tdur }) => tdur / 1_000).sort((a, b) => b - a).slice(0, 5);
}

async function pour(page) {
  stage.pour();
  await page.waitForFunction(() => window.account.events > 2_000); // all that is compiled at first is compiled
  await browser.startTracing(page, { categories: ['toplevel'] });
  await page.evaluate(forget);
  await page.waitForFunction((n) => window.account.events >= n, TRACED);
  const computed = busiest(await browser.stopTracing());
  await page.evaluate(forget);
  const begin = performance.now();
  await page.waitForFunction((n) => window.account.events >= n, SECONDS * 1_000);
  const account = await page.evaluate(() => window.account);
  const seconds = (performance.now() - begin) / 1_000;
  await page.waitForFunction(shows, await stage.record());
  const frames = account.frames.sort((a, b) => a - b);
  return { computed, seconds, eventsPerSecond: Math.round(account.events / seconds), fetches: account.fetches,
    frameMedian: frames[frames.length >> 1], frame99: frames[Math.floor(frames.length * 0.99)],
    longTasks: account.longTasks.length, longest: Math.max(0, ...account.longTasks) };
}

for (const patch of [true, false]) {
  test(`200 live queries and 1,000 events a second, ${patch ? 'patched' : 'fetched'}`, async (t) => {
    const page = await open(patch);
    const figures = await pour(page);
    t.diagnostic(JSON.stringify(figures));
    assert.ok(figures.computed[0] <= LONG, `a task computed for ${figures.computed[0]} ms`);
    if (patch) assert.equal(figures.fetches, 0);
    await page.close();
  });
}
