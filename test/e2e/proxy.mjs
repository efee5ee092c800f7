// A proxy in front of the bridge that does what proxies do.

import { once } from 'node:events';
import { createServer, request as ask } from 'node:http';
import { connect } from 'node:net';

// Proxy passes HTTP on. A WebSocket it passes on as well ('pass'), refuses ('refuse'), or lets begin and ends it at the
// first answer ('cut').
export class Proxy {
  #server; #sockets = new Set(); #frozen = false;
  upgrades = 0;

  static async start(target, upgrade) {
    const proxy = new Proxy();
    const [host, port] = target.split(':');
    proxy.#server = createServer((request, response) => {
      const { method, url: path, headers } = request;
      const onward = ask({ host, port, method, path, headers, agent: false }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
        answer.on('error', () => response.destroy());
      });
      onward.on('error', () => response.destroy());
      response.on('close', () => onward.destroy());
      request.pipe(onward);
    });
    proxy.#server.on('connection', (socket) => proxy.#keep(socket));
    proxy.#server.on('upgrade', (request, socket) => {
      proxy.upgrades++;
      if (upgrade === 'refuse') socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      else proxy.#tunnel(request, socket, connect(Number(port), host), upgrade === 'cut');
    });
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.address = `127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (this.#frozen) socket.pause();
  }

  #tunnel({ url, rawHeaders }, socket, onward, cut) {
    this.#keep(onward);
    const lines = [];
    for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
    onward.write(`GET ${url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    for (const [one, other] of [[socket, onward], [onward, socket]]) one.on('close', () => other.destroy());
    let spoken = false;
    socket.on('data', (data) => { spoken = true; onward.write(data); });
    onward.on('data', (data) => (cut && spoken ? socket.destroy() : socket.write(data)));
  }

  // freeze holds all that is sent on the connections that there are, so that neither side hears of the other.
  freeze() {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  // thaw lets new connections through; those that were frozen stay so.
  thaw() { this.#frozen = false; }

  stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
