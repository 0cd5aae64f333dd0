// The `ws` package of npm on the browser's door.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import WebSocket from 'ws';

import { fixture, Up } from '../browser/up.mjs';

const json = 'courant.v1.json';
let up;

before(async () => {
  up = await Up.start();
});
after(() => up.kill());

/** A connection that is open, and what it hears, in order. */
async function open(subprotocols = [json], options = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${up.http}/ws`, subprotocols, options);
  const heard = [];
  const wake = new EventTarget();
  socket.on('message', (data, isBinary) => {
    assert.equal(isBinary, false);
    heard.push(JSON.parse(data));
    wake.dispatchEvent(new Event('heard'));
  });
  const closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
  await once(socket, 'open');
  const until = async (type) => {
    for (let at = 0; ; at++) {
      while (heard.length <= at) await once(wake, 'heard');
      if (heard[at].type === type) return heard.splice(0, at + 1);
    }
  };
  return { socket, until, closed, say: (message) => socket.send(JSON.stringify(message)) };
}

const token = (user) => up.courant('token', '--sub', user);

test('follows a job from its snapshot to its end', async () => {
  const { socket, until, say } = await open();
  assert.equal(socket.protocol, json);
  // Offered by ws, not taken: messages are compressed once for all who get them, or not at all.
  assert.equal(socket.extensions, '');
  say({ id: 1, type: 'auth', token: token('alice') });
  assert.equal((await until('connected')).at(-1).user, 'alice');
  say({ id: 2, type: 'subscribe', topic: 'mine', minIntervalMs: 0 });
  await until('live');
  const job = await up.submit('alice', 'a.pdf', readFileSync(fixture('cc-by-sa-4.0/two-columns.pdf')));
  const story = await until('job-completed');
  assert.equal(story.at(-1).jobId, job);
  const progress = story.map((message) => message.progress).filter((percent) => percent !== undefined);
  assert.deepEqual(progress, progress.toSorted((one, other) => one - other));
  socket.close(1000);
});

test('is let in by a token beside the subprotocol, which is not echoed', async () => {
  const { socket, until } = await open([json, `courant.token.${token('alice')}`]);
  assert.equal((await until('connected')).at(-1).user, 'alice');
  assert.equal(socket.protocol, json);
  socket.close();
});

test('sends a command in pieces with a ping between them', async () => {
  const { socket, until } = await open();
  const pong = once(socket, 'pong');
  socket.send('{"id":1,', { fin: false });
  socket.ping('here?');
  socket.send('"type":"ping"}', { fin: true });
  assert.deepEqual((await until('pong')).at(-1), { type: 'pong', id: 1 });
  assert.equal(String((await pong)[0]), 'here?');
  socket.close();
});

test('is told why it is closed', async () => {
  for (const [message, code, reason] of [
    [JSON.stringify({ type: 'auth', token: 'nonsense' }), 4401, 'TOKEN_INVALID'],
    ['x'.repeat(70_000), 1009, 'MESSAGE_TOO_LARGE'],
    [Buffer.from([1, 2, 3]), 4400, 'BAD_MESSAGE'],
  ]) {
    const { socket, closed } = await open();
    socket.send(message);
    assert.deepEqual(await closed, { code, reason });
  }
});

test('a code of its own is echoed', async () => {
  const { socket, closed } = await open();
  socket.close(4999, 'bye');
  assert.equal((await closed).code, 4999);
});

test('a page of another site is refused', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${up.http}/ws`, [json], { origin: 'https://evil.example' });
  const [, answer] = await once(socket, 'unexpected-response');
  assert.equal(answer.statusCode, 403);
});
