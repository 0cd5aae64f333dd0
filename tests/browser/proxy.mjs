// A proxy as companies have them: forwards HTTP, and does with WebSockets and streams what it was told.

import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';

export class Proxy {
  /** `refuses`: no upgrade; `mutes`: upgrades, then lets nothing through after the first answers; `passes`. */
  sockets = 'passes';
  /** Event streams: `pass`, or are `held` back until they end, which is never. */
  streams = 'pass';
  /** Ranges: `pass`; are `dropped`, so that everything comes; are `refused`; or are `held`: never answered. */
  ranges = 'pass';
  /** Bytes of uploads in pieces that get through; what comes after them is held. */
  letsThrough = Number.POSITIVE_INFINITY;
  /** Bytes of uploads in pieces that have gone through. */
  sent = 0;
  /**
   * What was asked for, in order: `{ method, path, range, offset, bytes, status }`; the bytes are those of the answer that have
   * gone through, the offset is that of a piece of an upload, the status is there once there is an answer.
   */
  asked = [];
  /** Scripts it has itself, by path. */
  scripts = new Map();
  /** Nothing gets through, as without a network. */
  #isCut = false;
  /** Bytes a muted WebSocket gets through: the handshake and the greeting. */
  static #greeting = 900;

  static async to(port) {
    const proxy = new Proxy();
    proxy.upstream = port;
    proxy.open = new Set();
    proxy.server = createServer((asked, answer) => proxy.#forward(asked, answer));
    proxy.server.on('upgrade', (asked, socket, head) => proxy.#upgrade(asked, socket, head));
    proxy.server.on('connection', (socket) => {
      if (proxy.#isCut) return socket.destroy();
      proxy.open.add(socket);
      socket.on('close', () => proxy.open.delete(socket));
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.port = proxy.server.address().port;
    return proxy;
  }

  close() {
    this.server.close();
    for (const socket of this.open) socket.destroy();
  }

  cut() {
    this.#isCut = true;
    for (const socket of this.open) socket.destroy();
  }

  mend() {
    this.#isCut = false;
  }

  #forward(asked, answer) {
    const { method, url: path, headers } = asked;
    const script = this.scripts.get(path);
    if (script !== undefined) {
      answer.writeHead(200, { 'content-type': 'text/javascript' });
      answer.end(script);
      return;
    }
    const one = { method, path, range: headers.range, offset: headers['upload-offset'], bytes: 0 };
    this.asked.push(one);
    if (headers.range !== undefined && this.ranges === 'refused') {
      answer.writeHead(416).end();
      return;
    }
    if (headers.range !== undefined && this.ranges === 'held') return;
    if (this.ranges === 'dropped') delete headers.range;
    const held = this.streams === 'held' && path.startsWith('/v1/events?');
    const upstream = request({ host: '127.0.0.1', port: this.upstream, method, path, headers }, (given) => {
      if (held) return given.resume();
      one.status = given.statusCode;
      answer.writeHead(given.statusCode, given.headers);
      given.on('data', ({ length }) => { one.bytes += length; });
      given.pipe(answer);
    });
    upstream.on('error', () => answer.destroy());
    answer.on('close', () => upstream.destroy());
    if (method === 'PATCH') this.#measure(asked, upstream);
    else asked.pipe(upstream);
  }

  /** Passes on what may go through. What is held stays so until the connection ends. */
  #measure(asked, upstream) {
    asked.on('data', (data) => {
      const part = data.subarray(0, Math.max(0, this.letsThrough - this.sent));
      this.sent += part.length;
      upstream.write(part);
      if (part.length < data.length) asked.pause();
    });
    asked.on('end', () => upstream.end());
  }

  #upgrade(asked, socket, head) {
    if (this.sockets === 'refuses') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    const upstream = connect(this.upstream, '127.0.0.1', () => {
      const lines = [`${asked.method} ${asked.url} HTTP/1.1`];
      for (let place = 0; place < asked.rawHeaders.length; place += 2) {
        lines.push(`${asked.rawHeaders[place]}: ${asked.rawHeaders[place + 1]}`);
      }
      upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
      upstream.write(head);
      socket.pipe(upstream);
    });
    let left = this.sockets === 'mutes' ? Proxy.#greeting : Number.POSITIVE_INFINITY;
    upstream.on('data', (data) => {
      if (left > 0) socket.write(data.subarray(0, left));
      left -= data.length;
    });
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  }
}
