// The console in a real Chromium on networks that are not kind: proxies that refuse, mute or hold back.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { card, connected, ended, leftOut, openBrowser, openPage, PATIENCE, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { Proxy } from './proxy.mjs';
import { Up } from './up.mjs';

describe('the console behind a proxy', { skip: leftOut, timeout: 10 * PATIENCE }, () => {
  let up;
  let browser;
  let proxy;

  before(async () => {
    up = await Up.start();
    browser = await openBrowser();
  });

  afterEach(() => proxy?.close());

  after(async () => {
    await browser?.close();
    await up?.kill();
  });

  async function behind({ sockets, streams = 'pass' }) {
    proxy = await Proxy.to(up.http);
    Object.assign(proxy, { sockets, streams });
    const page = await openPage(browser);
    const link = new URL(up.link);
    link.port = String(proxy.port);
    await page.goto(link.href);
    await connected(page);
    return page;
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
    proxy = await Proxy.to(up.http);
    const page = await openPage(browser);
    const [heard, said] = [[], []];
    page.on('websocket', (socket) => {
      socket.on('framereceived', ({ payload }) => heard.push(payload));
      socket.on('framesent', ({ payload }) => said.push(payload));
    });
    const link = new URL(up.link);
    link.port = String(proxy.port);
    await page.goto(link.href);
    await connected(page);
    await submit(page, 'packed.pdf', 300);
    const first = (payload) => (Buffer.isBuffer(payload) ? payload[0] : 'text');
    assert.deepEqual(new Set(heard.map(first)), new Set([0, 1]));
    assert.deepEqual(new Set(said.map(first)), new Set([0]));
    assert.deepEqual(page.faults, []);
  });

  test('that refuses WebSockets, jobs are live by an event stream', async () => {
    const page = await behind({ sockets: 'refuses' });
    await transport(page).filter({ hasText: 'event stream' }).waitFor();
    await submit(page, 'by-events.pdf', 300);
    await shot(page, 'by-events-desktop');
    assert.deepEqual(page.faults, []);
  });

  test('that holds streams back as well, they are live by polling', async () => {
    const page = await behind({ sockets: 'refuses', streams: 'held' });
    await transport(page).filter({ hasText: 'polling' }).waitFor();
    await submit(page, 'by-polling.pdf', 300);
    assert.deepEqual(page.faults, []);
  });

  test('that mutes WebSockets, the mute one is left; and when it passes them again, the page climbs back', async () => {
    const page = await behind({ sockets: 'mutes' });
    await transport(page).filter({ hasText: 'event stream' }).waitFor();
    const file = { name: 'climber.pdf', mimeType: 'application/pdf', buffer: pages(300) };
    await page.getByTestId('dropzone-input').setInputFiles(file);
    await ended(page, 'climber.pdf');
    proxy.sockets = 'passes';
    await transport(page).waitFor({ state: 'detached' });
    await connected(page);
    await submit(page, 'climbed.pdf', 50);
    assert.deepEqual(page.faults, []);
  });
});
