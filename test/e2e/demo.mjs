// Builds and starts `rowfeed demo`, and opens its page in Chromium.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const repository = fileURLToPath(new URL('../..', import.meta.url));

export const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

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
    const binary = join(demo.scratch, 'rowfeed');
    execFileSync('go', ['build', '-o', binary, './cmd/rowfeed'], { cwd: repository, stdio: 'inherit' });
    demo.#process = spawn(binary, ['demo', '--port', '0', ...args],
      { env: { ...process.env, TMPDIR: demo.temporary }, stdio: ['ignore', 'pipe', 'pipe'] });
    demo.ended = once(demo.#process, 'exit').then(([code, signal]) => ({ code, signal }));
    demo.address = await demo.#await(/http:\/\/127\.0\.0\.1:\d+/, 60_000);
    await demo.#await(/Ctrl-C/, 60_000);
    return demo;
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
  return chromium.launch({ executablePath, args: FLAGS });
}

// Visitor is one person's window. It keeps every frame that the window's sockets received and every complaint of the
// browser.
export class Visitor {
  frames = [];
  complaints = [];

  static async open(browser, demo, role, { size = 'desktop', scheme = 'light' } = {}) {
    const visitor = new Visitor();
    visitor.context = await browser.newContext({ viewport: SIZES[size], colorScheme: scheme,
      deviceScaleFactor: size === 'phone' ? 2 : 1, reducedMotion: 'no-preference' });
    const page = visitor.page = await visitor.context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
      visitor.frames.push(JSON.parse(String(payload)));
    }));
    page.on('pageerror', (error) => visitor.complaints.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && visitor.complaints.push(message.text()));
    await page.goto(`${demo.address}/?as=${role}`);
    await visitor.live();
    const setup = await (await page.request.get(`${demo.address}/demo/setup`)).json();
    visitor.user = setup.users.find((user) => user.role === role);
    return visitor;
  }

  live() { return this.page.locator('#live[data-state=live]').waitFor(); }

  // events are the events among the frames.
  get events() { return this.frames.filter((frame) => frame.id && frame.channel); }

  // update runs the form's UPDATE: on the first row of the group whose label begins with group, or on row.
  async update(kind, { group, row, value }) {
    await this.page.locator(`#sql-tabs [data-value=${kind}]`).click();
    const select = this.page.locator('#sql-row');
    const id = row ?? await select.locator(`optgroup[label^="${group}"] option`).first().getAttribute('value');
    await select.selectOption(id);
    const field = this.page.locator('#sql-new');
    if (value === undefined) value = await field.inputValue();
    else if (kind === 'stock') await field.fill(value);
    else await field.selectOption(value);
    await this.page.locator('#sql-run').click();
    return { id, value };
  }

  row(resource, id) { return this.page.locator(`[data-key="${resource}/${id}"]`); }

  close() { return this.context.close(); }
}
