// Builds and starts `rowfeed demo`, and opens its page in Chromium.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Bridge } from './bridge.mjs';

export const repository = fileURLToPath(new URL('../..', import.meta.url));

export const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

// PATIENCE is how long anything may take, in ms: a machine may be slow, and what is right ends no wait late.
export const PATIENCE = 120_000;

// APART, after --bridge, stands for a folder of the demo's own.
export const APART = 'APART';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

// build makes a program of this repository in folder and returns its path.
export function build(program, folder) {
  const binary = join(folder, basename(program));
  execFileSync('go', ['build', '-o', binary, program], { cwd: repository, stdio: 'inherit' });
  return binary;
}

// Demo is one run of the program. Its scratch directory is the program's TMPDIR: what is in it after the end was left
// behind.
export class Demo {
  #process; #output = '';

  static async start(...args) {
    const demo = new Demo();
    demo.scratch = mkdtempSync(join(tmpdir(), 'rowfeed-e2e-'));
    demo.temporary = join(demo.scratch, 'tmp');
    mkdirSync(demo.temporary);
    for (const dir of [demo.scratch, demo.temporary]) chmodSync(dir, 0o755); // the database server is another user
    demo.binary = build('./cmd/rowfeed', demo.scratch);
    const given = args.map((arg) => (arg === APART ? demo.scratch : arg));
    demo.#process = spawn(demo.binary, ['demo', '--port', '0', ...given],
      { env: { ...process.env, TMPDIR: demo.temporary }, stdio: ['ignore', 'pipe', 'pipe'] });
    demo.ended = once(demo.#process, 'exit').then(([code, signal]) => ({ code, signal }));
    demo.address = await demo.#await(/http:\/\/127\.0\.0\.1:\d+/, PATIENCE);
    await demo.#await(/Ctrl-C/, PATIENCE);
    return demo;
  }

  // bridge is that of a demo that was started with --bridge APART.
  bridge() {
    const settings = readFileSync(join(this.scratch, 'rowfeed.env'), 'utf8').matchAll(/^export (\w+)='(.*)'$/gm);
    const env = Object.fromEntries([...settings].map(([, name, value]) => [name, value]));
    const config = join(this.scratch, 'rowfeed.yaml');
    return new Bridge({ binary: this.binary, config, address: env.ROWFEED_SERVER_LISTEN, env });
  }

  // output is all that the program has said.
  get output() { return this.#output; }

  #await(pattern, limit) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#process.off('exit', gone);
        settle(value);
      };
      const gone = () => end(reject, new Error(`rowfeed demo ended: ${this.#output}`));
      const timer = setTimeout(() => end(reject, new Error(`rowfeed demo did not start: ${this.#output}`)), limit);
      const read = (chunk) => {
        this.#output += chunk;
        const found = this.#output.match(pattern);
        if (found) end(resolve, found[0]);
      };
      this.#process.on('exit', gone);
      this.#process.stdout.on('data', read);
      this.#process.stderr.on('data', read);
      read('');
    });
  }

  // stop presses Ctrl-C and waits for the end.
  async stop() {
    this.#process.kill('SIGINT');
    return this.ended;
  }

  clean() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGKILL');
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

// launch starts a browser of its own.
export function launch() {
  const finder = join(repository, 'scripts', 'install-chromium.sh');
  const executablePath = execFileSync(finder, { encoding: 'utf8' }).trim().split('\n').at(-1);
  return chromium.launch({ executablePath, args: FLAGS, timeout: PATIENCE });
}

// watch runs in the page before its own scripts. Live traffic takes away what has just been shown: it keeps the texts
// of all toasts, badges and quantities that ever were, with the row that they were on.
function watch() {
  window.shown = [];
  const keep = (el) => {
    const [what] = ['toast', 'badge', 'quantity'].filter((name) => el.classList.contains(name));
    if (what) window.shown.push({ what, key: el.closest('[data-key]')?.dataset.key, text: el.textContent });
  };
  new MutationObserver((changes) => {
    for (const el of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
      if (el instanceof Element) [el, ...el.querySelectorAll('*')].forEach(keep);
    }
  }).observe(document, { childList: true, subtree: true });
}

// Visitor is one person's window. It keeps every frame that the window's sockets received, by socket, and every
// complaint of the browser.
export class Visitor {
  #looks = new Set();
  sockets = [];
  complaints = [];

  static async open(browser, demo, role, { size = 'desktop', scheme = 'light', prepare } = {}) {
    const visitor = new Visitor();
    visitor.context = await browser.newContext({ viewport: SIZES[size], colorScheme: scheme,
      deviceScaleFactor: size === 'phone' ? 2 : 1, reducedMotion: 'no-preference' });
    await visitor.context.addInitScript(watch);
    const page = visitor.page = await visitor.context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on('websocket', (socket) => {
      const frames = [];
      visitor.sockets.push({ frames });
      socket.on('framereceived', ({ payload }) => {
        frames.push(JSON.parse(String(payload)));
        for (const look of visitor.#looks) look();
      });
    });
    page.on('pageerror', (error) => visitor.complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !isGone(message)) visitor.complaints.push(message.text());
    });
    await prepare?.(page);
    await page.goto(`${demo.address}/?as=${role}`);
    await visitor.live();
    visitor.setup = await (await page.request.get(`${demo.address}/demo/setup`)).json();
    visitor.user = visitor.setup.users.find((user) => user.role === role);
    return visitor;
  }

  live() { return this.page.locator('#live[data-state=live]').waitFor(); }

  // frames are those of all sockets.
  get frames() { return this.sockets.flatMap(({ frames }) => frames); }

  // events are the events among them.
  get events() { return this.frames.filter(isEvent); }

  // frame waits for a frame that passes the test.
  frame(test) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#looks.delete(look);
        settle(value);
      };
      const look = () => {
        const found = this.frames.find(test);
        if (found) end(resolve, found);
      };
      const timer = setTimeout(() => end(reject, new Error(`no such frame came: ${test}`)), PATIENCE);
      this.#looks.add(look);
      look();
    });
  }

  hasShown(what, text) {
    return this.page.evaluate((wanted) => window.shown.some((one) => one.what === wanted.what
      && one.text.includes(wanted.text)), { what, text });
  }

  // shown waits until the page has shown, be it for a moment, a toast, badge or quantity with this text.
  shown(what, text, key) {
    const has = (wanted) => window.shown.some((one) => one.what === wanted.what && one.text.includes(wanted.text)
      && (wanted.key === undefined || one.key === wanted.key));
    return this.page.waitForFunction(has, { what, text, key });
  }

  // update runs the form's UPDATE on a row of the group whose label begins with group, or on row. It returns the
  // server's answer with the row's id and the value.
  async update(kind, { group, row, value }) {
    await this.page.locator(`#sql-tabs [data-value=${kind}]`).click();
    const select = this.page.locator('#sql-row');
    const id = row ?? await select.locator(`optgroup[label^="${group}"] option`).first().getAttribute('value');
    await select.selectOption(id);
    const field = this.page.locator('#sql-new');
    if (kind === 'stock') await field.fill(value);
    else await field.selectOption(value);
    const posted = this.page.waitForResponse((response) => response.url().endsWith('/demo/update'));
    await this.page.locator('#sql-run').click();
    return { id, value, ...await (await posted).json() };
  }

  // change runs two UPDATEs, of which the second changes the row, whatever others made of it: nobody who works in the
  // sample ERP makes a row what the first one makes it, and touches it between.
  async change(kind, { group, from, to }) {
    const { id } = await this.update(kind, { group, value: from });
    return this.update(kind, { row: id, value: to });
  }

  // fits makes sure that nothing on the page is wider than the screen.
  async fits() {
    const [wide, shown] = await this.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= shown, `${this.user.role}: ${wide} px wide in ${shown}`);
  }

  row(resource, id) { return this.page.locator(`[data-key="${resource}/${id}"]`); }

  close() { return this.context.close(); }
}

export const isEvent = (frame) => Boolean(frame.id && frame.channel);

// isGone tells whether the browser complains that a request, of which an event has just told, is no longer there:
// others work too, and delete drafts.
function isGone(message) {
  return message.text().includes('404') && /\/api\/requests\/[\w-]+\/\d+$/.test(message.location().url);
}
