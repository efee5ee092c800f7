// A bridge that can be killed, on a database with writers, and the page that loads the client library.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Bridge } from './bridge.mjs';
import { build, repository } from './demo.mjs';

export class Stage {
  #server; #stage; #lines; #bridge = null;

  // start takes the folder of a page, in the repository, that Vite builds and that is at /page/ then.
  static async start({ page } = {}) {
    const stage = new Stage();
    stage.scratch = mkdtempSync(join(tmpdir(), 'rowfeed-stage-'));
    const temporary = join(stage.scratch, 'tmp');
    mkdirSync(temporary);
    for (const dir of [stage.scratch, temporary]) chmodSync(dir, 0o755); // the database server is another user
    stage.binary = build('./cmd/rowfeed', stage.scratch);
    const library = stage.library = join(stage.scratch, 'client');
    execFileSync(process.execPath, [join(repository, 'client/node_modules/typescript/bin/tsc'), '-p',
      join(repository, 'client/tsconfig.build.json'), '--outDir', library], { stdio: 'inherit' });
    if (page) {
      execFileSync(process.execPath, [join(repository, 'client/node_modules/vite/bin/vite.js'), 'build',
        join(repository, page), '--base', '/page/', '--outDir', join(library, 'page'), '--emptyOutDir',
        '--logLevel', 'error'],
      { stdio: ['ignore', 'ignore', 'inherit'] });
    }
    stage.origin = await stage.#serveLibrary(library);
    stage.#stage = spawn(build('./test/e2e/stage', stage.scratch), ['-origin', stage.origin],
      { env: { ...process.env, TMPDIR: temporary }, stdio: ['pipe', 'pipe', 'inherit'] });
    stage.#lines = createInterface({ input: stage.#stage.stdout })[Symbol.asyncIterator]();
    Object.assign(stage, await stage.#answer());
    return stage;
  }

  async #serveLibrary(folder) {
    this.#server = createServer((request, response) => {
      const module = /^(\/[\w-]+)+\.js$/.exec(request.url);
      response.setHeader('Content-Type', module ? 'text/javascript' : 'text/html');
      response.end(module ? readFileSync(join(folder, module[0]))
        : request.url === '/page/' ? readFileSync(join(folder, 'page/index.html'))
          : '<!doctype html><title>client</title>');
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the stage ended');
    return JSON.parse(value);
  }

  write() { this.#stage.stdin.write('write\n'); }

  // sql runs a statement of the ERP's.
  async sql(statement) {
    this.#stage.stdin.write(`sql ${statement}\n`);
    await this.#answer();
  }

  // pour changes 1,000 rows a second.
  pour() { this.#stage.stdin.write('pour\n'); }

  // record ends the writing and tells how often each counter was changed.
  async record() {
    this.#stage.stdin.write('stop\n');
    return this.#answer();
  }

  // serve starts the bridge and waits until it listens.
  serve() {
    this.#bridge ??= new Bridge(this);
    return this.#bridge.start();
  }

  // sessions are the connections of a user, as the bridge counts them.
  async sessions(user) {
    const answer = await fetch(`http://${this.admin}/admin/sessions?user=${user}`,
      { headers: { Authorization: `Bearer ${this.operator}` } });
    return (await answer.json()).sessions.filter(({ ended }) => !ended);
  }

  // kill ends the bridge as a power cut would.
  kill() { return this.#bridge.kill(); }

  async stop() {
    await this.#bridge?.kill();
    if (this.#stage) {
      const over = once(this.#stage, 'exit');
      this.#stage.stdin.end();
      await over;
    }
    this.#server?.close();
    rmSync(this.scratch, { recursive: true, force: true });
  }
}
