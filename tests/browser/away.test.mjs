// The console when what it needs goes away in mid-job: the network, the bridge, the session. It says so and goes on.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { card, choose, connected, ended, leftOut, PATIENCE, pdf, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { Proxy } from './proxy.mjs';
import { Bridge, quickPong } from './up.mjs';

describe('what goes away in mid-job', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant(quickPong);

  const badge = (page, state) => page.locator(`[data-testid=connection-badge][data-state=${state}]`).first().waitFor();
  const banner = (page, words) => page.getByTestId('offline-banner').filter({ hasText: words }).waitFor();

  /** Begins a job that has a while to go. */
  async function begin(page, name) {
    await choose(page, pdf(name, pages(1500)));
    await page.waitForFunction(() => Number(document.querySelector('[data-testid=job-pages]')?.dataset.done) > 5);
  }

  /** Ended, and each page of it known: nothing was missed. */
  async function wholeAndOnce(page, name) {
    await ended(page, name);
    assert.equal(await page.getByTestId('job-card').filter({ hasText: name }).count(), 1);
    const told = card(page, name).getByTestId('job-pages');
    assert.deepEqual([await told.getAttribute('data-done'), await told.getAttribute('data-total')], ['1500', '1500']);
    assert.deepEqual(page.faults, []);
  }

  test('the device is offline: it says so, keeps what is dropped, and catches up by itself', async () => {
    const page = await courant.signIn('mia');
    await begin(page, 'kept.pdf');
    await page.context().setOffline(true);
    await badge(page, 'offline');
    await banner(page, 'You are offline');
    await choose(page, pdf('dropped-offline.pdf', pages(2)));
    await page.getByTestId('upload').filter({ hasText: 'dropped-offline.pdf' }).filter({ hasText: 'Waiting for connection' }).waitFor();
    await shot(page, 'offline');
    await page.context().setOffline(false);
    await connected(page);
    await ended(page, 'dropped-offline.pdf');
    await page.locator('[data-testid=offline-banner][data-shown=true]').waitFor({ state: 'detached' });
    await wholeAndOnce(page, 'kept.pdf');
  });

  test('the network is cut: it is tried again by hand without waiting', async (t) => {
    const proxy = await Proxy.to(courant.up.http);
    t.after(() => proxy.close());
    const page = await courant.signIn('ned', { port: proxy.port, prepare: ({ clock }) => clock.install() });
    proxy.cut();
    await banner(page, 'The connection was lost');
    // The clock stands: nothing is tried by itself any more.
    await page.clock.pauseAt(new Date(Date.now() + 60_000));
    await page.locator('[data-testid=connection-badge][data-state=reconnecting]').first().waitFor();
    proxy.mend();
    await page.getByTestId('reconnect-now').click();
    await connected(page);
    assert.deepEqual(page.faults, []);
  });

  test('the bridge is killed and comes back: the job went on, and the page goes on', async (t) => {
    const bridge = await Bridge.beside(courant.up);
    t.after(() => bridge.kill());
    const page = await courant.signIn('oda', { port: bridge.http });
    await begin(page, 'bridged.pdf');
    await bridge.kill();
    await page.locator('[data-testid=connection-badge]:not([data-state=connected])').first().waitFor();
    await bridge.launch();
    await connected(page);
    await wholeAndOnce(page, 'bridged.pdf');
  });

  test('the session ends: the job goes on, and is there after signing in again', async () => {
    const page = await courant.signIn('pia', { ttl: '12s' });
    await begin(page, 'unsigned.pdf');
    await page.getByTestId('signin-message').filter({ hasText: 'the token ran out' }).waitFor();
    await page.getByTestId('signin-token').fill(courant.up.linkFor('pia'));
    await page.getByTestId('signin-submit').click();
    await connected(page);
    await ended(page, 'unsigned.pdf');
    // Where it ended while nobody was signed in it is among the earlier ones: only its own page tells of pages.
    await card(page, 'unsigned.pdf').getByTestId('open-job').click();
    const told = page.getByTestId('job-detail').getByTestId('job-pages');
    assert.deepEqual([await told.getAttribute('data-done'), await told.getAttribute('data-total')], ['1500', '1500']);
    assert.deepEqual(page.faults, []);
  });

  test('the session ends while a file waits for the network: it is sent after signing in again', async () => {
    const expired = Date.now() + 9_000;
    const page = await courant.signIn('quin', { ttl: '8s' });
    await page.context().setOffline(true);
    await badge(page, 'offline');
    await choose(page, pdf('patient.pdf', pages(2)));
    await page.getByTestId('upload').filter({ hasText: 'patient.pdf' }).waitFor();
    await page.waitForFunction((time) => Date.now() > time, expired);
    await page.context().setOffline(false);
    await page.getByTestId('signin-message').filter({ hasText: 'the token ran out' }).waitFor();
    await page.getByTestId('signin-token').fill(courant.up.linkFor('quin'));
    await page.getByTestId('signin-submit').click();
    await ended(page, 'patient.pdf');
    assert.equal(await page.getByTestId('upload').count(), 0);
    assert.deepEqual(page.faults, []);
  });
});
