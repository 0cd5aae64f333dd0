// Notifications of the operating system: after permission, while nobody looks, and leading to the job.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { choose, ended, goTo, leftOut, PATIENCE, pdf } from './page.mjs';
import { pages } from './pdf.mjs';

/** Keeps what is shown, and lets a test say whether somebody looks at the tab, which a browser without a screen never does. */
function record() {
  globalThis.shown = [];
  globalThis.Notification = class extends Notification {
    constructor(...args) {
      super(...args);
      globalThis.shown.push(this);
    }
  };
  let visibility = 'visible';
  Object.defineProperty(document, 'visibilityState', { get: () => visibility });
  globalThis.look = (state) => {
    visibility = state;
    document.dispatchEvent(new Event('visibilitychange'));
  };
}

describe('notifications outside the page', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant();

  const signIn = (user, ...permissions) =>
    courant.signIn(user, { permissions, prepare: (page) => page.addInitScript(record) });

  const shown = (page) => page.evaluate(() => globalThis.shown.map(({ title, body }) => [title, body]));
  const look = (page, state) => page.evaluate((to) => globalThis.look(to), state);

  async function switchOn(page) {
    await goTo(page, '#/notifications');
    await page.locator('[data-testid=desktop-notifications][data-state=off]').waitFor();
    await page.getByTestId('desktop-switch').click();
    await page.locator('[data-testid=desktop-notifications][data-state=on]').waitFor();
    await goTo(page, '#/');
  }

  async function done(page, name, body = pages(2), state = 'succeeded') {
    await choose(page, pdf(name, body));
    await ended(page, name, state);
  }

  test('come when nobody looks, and a click leads to the job', async () => {
    const page = await signIn('olga', 'notifications');
    await switchOn(page);
    await look(page, 'hidden');
    await done(page, 'unseen.pdf');
    await done(page, 'unseen-bad.pdf', Buffer.from('no PDF'), 'failed');
    const [good, bad] = await shown(page);
    assert.deepEqual(good, ['unseen.pdf succeeded', '2 pages']);
    assert.equal(bad[0], 'unseen-bad.pdf failed');
    await page.evaluate(() => globalThis.shown[0].dispatchEvent(new Event('click')));
    await page.getByTestId('job-detail').filter({ hasText: 'unseen.pdf' }).waitFor();
    assert.deepEqual(page.faults, []);
  });

  test('do not come while one looks, nor after they were switched off', async () => {
    const page = await signIn('piet', 'notifications');
    await switchOn(page);
    await done(page, 'seen.pdf');
    await look(page, 'hidden');
    await done(page, 'background.pdf');
    await look(page, 'visible');
    await goTo(page, '#/notifications');
    await page.getByTestId('desktop-switch').click();
    await page.locator('[data-testid=desktop-notifications][data-state=off]').waitFor();
    await goTo(page, '#/');
    await look(page, 'hidden');
    await done(page, 'untold.pdf');
    assert.deepEqual(await shown(page), [['background.pdf succeeded', '2 pages']]);
  });

  test('are not asked for by themselves, and a browser that was told not to is believed', async () => {
    const page = await signIn('rosa');
    await look(page, 'hidden');
    await done(page, 'quiet.pdf', pages(1));
    assert.deepEqual(await shown(page), []);
    await look(page, 'visible');
    await goTo(page, '#/notifications');
    // This Chromium answers every question with no.
    await page.locator('[data-testid=desktop-notifications][data-state=denied]').waitFor();
    assert.equal(await page.getByTestId('desktop-switch').count(), 0);
  });
});
