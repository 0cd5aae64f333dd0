// Large documents on their way when the bridge dies, the network goes, or the page is loaded again: they go on.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { startCourant } from './courant.mjs';
import { choose, connected, ended, leftOut, PATIENCE, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { Proxy } from './proxy.mjs';
import { Bridge } from './up.mjs';

/** What the server stores as one piece. */
const piece = 4 << 20;
const document = pages(150, { weight: 80_000 });

describe('uploads that are cut', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant();

  const signIn = (user, port) =>
    courant.signIn(user, { port, prepare: (page) => page.on('dialog', (dialog) => dialog.accept()) });

  /** A file of its own time, which a page knows again. */
  function file(name) {
    const path = join(courant.up.folder, name);
    writeFileSync(path, document);
    return path;
  }

  const upload = (page, name) => page.getByTestId('upload').filter({ hasText: name });
  const pieces = (proxy) => proxy.asked.filter(({ method }) => method === 'PATCH');

  /** Waits until the server has a first piece, as another bridge tells. */
  async function arrived(user, proxy) {
    const authorization = `Bearer ${courant.up.courant('token', '--sub', user)}`;
    const headers = { authorization, 'tus-resumable': '1.0.0' };
    for (;;) {
      const path = pieces(proxy)[0]?.path;
      const answer = path && (await fetch(`http://127.0.0.1:${courant.up.http}${path}`, { method: 'HEAD', headers }));
      if (answer && Number(answer.headers.get('upload-offset')) >= piece) return;
      await setTimeout(50);
    }
  }

  /** Nothing that had arrived before was taken again. (A browser may repeat a request that was cut; that is refused.) */
  function wentOn(proxy, before) {
    const later = pieces(proxy).slice(before).filter(({ status }) => status === 204);
    const offsets = later.map(({ offset }) => Number(offset));
    assert.ok(offsets.length > 0 && offsets.every((offset) => offset >= piece), `sent again from ${offsets}`);
  }

  test('the bridge is killed in mid-upload: the page says so, and goes on when it is back', async (t) => {
    const bridge = await Bridge.beside(courant.up);
    const proxy = await Proxy.to(bridge.http);
    t.after(() => Promise.all([proxy.close(), bridge.kill()]));
    const page = await signIn('tess', proxy.port);
    proxy.letsThrough = piece + 500_000;
    await choose(page, file('cut.pdf'));
    await upload(page, 'cut.pdf').filter({ hasText: 'Sending, ' }).waitFor();
    await arrived('tess', proxy);
    await bridge.kill();
    const before = pieces(proxy).length;
    // Both at once: between two waits it tries again.
    const waiting = upload(page, 'cut.pdf').and(page.locator('[data-waiting="true"]'));
    await waiting.filter({ hasText: /Waiting for (connection|the server) at/ }).waitFor();
    await shot(page, 'upload-cut');
    proxy.letsThrough = Number.POSITIVE_INFINITY;
    await bridge.launch();
    await ended(page, 'cut.pdf');
    wentOn(proxy, before);
    assert.equal(await page.getByTestId('upload').count(), 0);
    assert.deepEqual(page.faults, []);
  });

  test('only the upload is cut, by a network that breaks long requests: it goes on by itself', async (t) => {
    const proxy = await Proxy.to(courant.up.http);
    t.after(() => proxy.close());
    const page = await signIn('uma', proxy.port);
    proxy.letsThrough = piece + 500_000;
    await choose(page, file('broken.pdf'));
    await arrived('uma', proxy);
    const before = pieces(proxy).length;
    proxy.letsThrough = Number.POSITIVE_INFINITY;
    proxy.cut();
    proxy.mend();
    await ended(page, 'broken.pdf');
    wentOn(proxy, before);
    assert.deepEqual(page.faults, []);
  });

  test('the page is loaded again: the same file goes on where it was', async (t) => {
    const proxy = await Proxy.to(courant.up.http);
    t.after(() => proxy.close());
    const page = await signIn('vera', proxy.port);
    proxy.letsThrough = piece + 500_000;
    const path = file('again.pdf');
    await choose(page, path);
    await arrived('vera', proxy);
    await page.reload();
    await connected(page);
    const before = pieces(proxy).length;
    proxy.letsThrough = Number.POSITIVE_INFINITY;
    await choose(page, path);
    await ended(page, 'again.pdf');
    wentOn(proxy, before);
    assert.deepEqual(page.faults, []);
  });
});
