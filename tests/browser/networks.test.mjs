// The console in a real Chromium on networks that are not kind: proxies that refuse, mute or hold back.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { startCourant } from './courant.mjs';
import { card, connected, ended, leftOut, PATIENCE, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { Proxy } from './proxy.mjs';
import { quickPong } from './up.mjs';

describe('the console behind a proxy', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  let proxy;
  const courant = startCourant(quickPong);

  afterEach(() => proxy?.close());

  async function behind({ sockets, streams = 'pass', ...options }) {
    proxy = await Proxy.to(courant.up.http);
    Object.assign(proxy, { sockets, streams });
    return courant.signIn('alice', { port: proxy.port, ...options });
  }

  /** Sets the clock of a page forward whenever it waits for a stream that is held back: it gives one up after ten seconds. */
  async function giveUpStreams(page, signal) {
    for (let given = 0; !signal.aborted; ) {
      await setTimeout(20);
      if (proxy.asked.filter(({ path }) => path.startsWith('/v1/events?')).length <= given) continue;
      given += 1;
      await page.clock.fastForward(10_000).catch(() => undefined);
    }
  }

  const transport = (page) => page.getByTestId('connection-transport');

  async function submit(page, name, count) {
    const file = { name, mimeType: 'application/pdf', buffer: pages(count) };
    await page.getByTestId('dropzone-input').setInputFiles(file);
    const seen = card(page, name).getByTestId('job-pages');
    await page.waitForFunction((bar) => Number(bar?.dataset.done) > 0, await seen.elementHandle());
    await ended(page, name);
  }

  test('that passes everything, messages are packed, and compressed where that makes them smaller', async () => {
    proxy = await Proxy.to(courant.up.http);
    const [received, sent] = [[], []];
    const prepare = (page) =>
      page.on('websocket', (socket) => {
        socket.on('framereceived', ({ payload }) => received.push(payload));
        socket.on('framesent', ({ payload }) => sent.push(payload));
      });
    const page = await courant.signIn('alice', { port: proxy.port, prepare });
    await submit(page, 'packed.pdf', 300);
    const first = (payload) => (Buffer.isBuffer(payload) ? payload[0] : 'text');
    assert.deepEqual(new Set(received.map(first)), new Set([0, 1]));
    assert.deepEqual(new Set(sent.map(first)), new Set([0]));
    assert.deepEqual(page.faults, []);
  });

  test('that refuses WebSockets, jobs are live by an event stream', async () => {
    const page = await behind({ sockets: 'refuses' });
    await transport(page).filter({ hasText: 'event stream' }).waitFor();
    await submit(page, 'by-events.pdf', 300);
    await shot(page, 'by-events-desktop');
    assert.deepEqual(page.faults, []);
  });

  test('that holds streams back as well, they are live by polling', async (t) => {
    const prepare = async (page) => {
      await page.clock.install();
      void giveUpStreams(page, t.signal);
    };
    const page = await behind({ sockets: 'refuses', streams: 'held', prepare });
    await transport(page).filter({ hasText: 'polling' }).waitFor();
    await submit(page, 'by-polling.pdf', 300);
    assert.deepEqual(page.faults, []);
  });

  test('that mutes WebSockets, the mute one is left; and when it passes them again, the page climbs back', async () => {
    const page = await behind({ sockets: 'mutes', prepare: ({ clock }) => clock.install() });
    await transport(page).filter({ hasText: 'event stream' }).waitFor();
    const file = { name: 'climber.pdf', mimeType: 'application/pdf', buffer: pages(300) };
    await page.getByTestId('dropzone-input').setInputFiles(file);
    await ended(page, 'climber.pdf');
    proxy.sockets = 'passes';
    // So long a page waits before it tries a WebSocket again.
    await page.clock.fastForward(15_000);
    await transport(page).waitFor({ state: 'detached' });
    await connected(page);
    await submit(page, 'climbed.pdf', 50);
    assert.deepEqual(page.faults, []);
  });
});
