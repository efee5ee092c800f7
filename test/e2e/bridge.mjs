// A bridge in a process of its own, to be killed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

export class Bridge {
  #binary; #config; #address; #env; #process = null;

  // binary is the program, config its file, address where it listens, env what else is in its environment.
  constructor({ binary, config, address, env = {} }) {
    this.#binary = binary;
    this.#config = config;
    this.#address = address;
    this.#env = env;
  }

  // start waits until it listens.
  async start() {
    const bridge = this.#process = spawn(this.#binary, ['serve', '--config', this.#config],
      { env: { ...process.env, ...this.#env }, stdio: ['ignore', 'inherit', 'inherit'] });
    bridge.over = once(bridge, 'exit');
    const [host, port] = this.#address.split(':');
    while (!await listens(Number(port), host)) {
      if (bridge.exitCode !== null) throw new Error(`rowfeed serve ended with ${bridge.exitCode}`);
    }
  }

  // kill ends it as a power cut would, if it runs.
  async kill() {
    if (this.#process?.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await this.#process.over;
  }
}

function listens(port, host) {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => setTimeout(resolve, 50, false));
  });
}
