// A running `courant up` on ports that stay the same over a crash, for the browser's sake.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

const root = new URL('../..', import.meta.url).pathname;
export const bin = process.env.COURANT_BIN ?? join(root, 'target/release/courant');
export const fixture = (name) => join(root, 'tests/fixtures/pdf', name);

const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('COURANT_')));

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A page that hears nothing asks once and waits so long: less than the 8 s that are usual, for stories that wait for it. */
export const quickPong = ['--client-pong-timeout', '3s'];

export class Up {
  /** `flags` are more flags of `courant up`. */
  static async start(...flags) {
    const up = new Up();
    up.flags = flags;
    up.folder = mkdtempSync(join(tmpdir(), 'courant-browser-'));
    process.on('exit', () => rmSync(up.folder, { recursive: true, force: true }));
    up.data = join(up.folder, 'data');
    [up.grpc, up.http] = [await freePort(), await freePort()];
    await up.launch();
    return up;
  }

  async launch() {
    const faces = ['--grpc', `127.0.0.1:${this.grpc}`, '--http', `127.0.0.1:${this.http}`];
    const flags = ['up', '--data-dir', this.data, '--user', 'alice', '--print-link', '--workers', '2', '--log', 'warn', ...faces, ...this.flags];
    this.process = spawn(bin, flags, { detached: true, stdio: ['ignore', 'pipe', 'inherit'], env: environment });
    this.ended = once(this.process, 'exit');
    for await (const line of createInterface({ input: this.process.stdout })) {
      const found = line.match(/console\s+(\S+)/);
      if (found) this.link = found[1];
      if (line.trim().startsWith('stop')) return;
    }
    throw new Error('courant up ended before it was ready');
  }

  /** kill -9 of everything. */
  async kill() {
    process.kill(-this.process.pid, 'SIGKILL');
    await this.ended;
  }

  courant(...args) {
    return execFileSync(bin, [...args, '--data-dir', this.data], { encoding: 'utf8', env: environment }).trim();
  }

  /** The link that signs somebody in. */
  linkFor(user, ...flags) {
    return `${this.link.split('#')[0]}#token=${this.courant('token', '--sub', user, ...flags)}`;
  }

  /** Submits a document the way another program would; gives the job's id. */
  async submit(user, name, body) {
    const authorization = `Bearer ${this.courant('token', '--sub', user)}`;
    const answer = await fetch(`http://127.0.0.1:${this.http}/v1/jobs?name=${name}`, { method: 'POST', body, headers: { authorization } });
    const { job } = await answer.json();
    return job.jobId;
  }

  /** Gives all workers nothing new (`drain`), or lets them go on (`resume`). */
  async workers(verb) {
    const headers = { authorization: `Bearer ${this.courant('token', '--sub', 'operator', '--role', 'admin')}` };
    const base = `http://127.0.0.1:${this.http}/v1/workers`;
    const { workers } = await (await fetch(base, { headers })).json();
    for (const { workerId } of workers) {
      const { ok, status } = await fetch(`${base}/${workerId}:${verb}`, { method: 'POST', headers });
      if (!ok) throw new Error(`${verb} of ${workerId} was answered with ${status}`);
    }
  }

  /** What somebody was told, newest first. */
  async notifications(user) {
    const headers = { authorization: `Bearer ${this.courant('token', '--sub', user)}` };
    return (await (await fetch(`http://127.0.0.1:${this.http}/v1/notifications`, { headers })).json()).notifications;
  }

  secret() {
    return readFileSync(join(this.data, 'secret'), 'utf8').trim();
  }
}

/** A bridge of its own beside that of `courant up`: it may be killed while everything else goes on. */
export class Bridge {
  static async beside(up) {
    const bridge = new Bridge();
    bridge.up = up;
    bridge.http = await freePort();
    await bridge.launch();
    return bridge;
  }

  async launch() {
    const { data, grpc } = this.up;
    const flags = ['--listen', `127.0.0.1:${this.http}`, '--server', `http://127.0.0.1:${grpc}`, '--secret-file', join(data, 'secret'), '--log', 'warn'];
    this.process = spawn(join(dirname(bin), 'courant-bridge'), flags, { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
    this.ended = once(this.process, 'exit');
    const ready = async () => (await fetch(`http://127.0.0.1:${this.http}/readyz`).catch(() => undefined))?.ok;
    while (!(await ready())) {
      if (this.process.exitCode !== null) throw new Error('the bridge ended before it was ready');
      await setTimeout(50);
    }
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }
}
