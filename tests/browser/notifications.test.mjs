// Notifications of the operating system: after permission, while nobody looks, and leading to the job.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { choose, connected, ended, goTo, leftOut, openBrowser, openPage, PATIENCE, pdf } from './page.mjs';
import { pages } from './pdf.mjs';
import { Up } from './up.mjs';

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

describe('notifications outside the page', { skip: leftOut, timeout: 10 * PATIENCE }, () => {
  let up;
  let browser;

  before(async () => {
    [up, browser] = await Promise.all([Up.start(), openBrowser()]);
  });

  after(async () => {
    await browser?.close();
    await up?.kill();
  });

  async function as(user, ...permissions) {
    const page = await openPage(browser, { permissions });
    await page.addInitScript(record);
    await page.goto(up.linkFor(user));
    await connected(page);
    return page;
  }

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
    const page = await as('olga', 'notifications');
    await switchOn(page);
    await look(page, 'hidden');
    await done(page, 'unseen.pdf');
    await done(page, 'unseen-bad.pdf', Buffer.from('no PDF'), 'failed');
    const [good, bad] = await shown(page);
    assert.deepEqual(good, ['unseen.pdf is done', '2 pages']);
    assert.equal(bad[0], 'unseen-bad.pdf failed');
    await page.evaluate(() => globalThis.shown[0].dispatchEvent(new Event('click')));
    await page.getByTestId('job-detail').filter({ hasText: 'unseen.pdf' }).waitFor();
    assert.deepEqual(page.faults, []);
  });

  test('do not come while one looks, nor after they were switched off', async () => {
    const page = await as('piet', 'notifications');
    await switchOn(page);
    await done(page, 'seen.pdf');
    await look(page, 'hidden');
    await done(page, 'told.pdf');
    await look(page, 'visible');
    await goTo(page, '#/notifications');
    await page.getByTestId('desktop-switch').click();
    await page.locator('[data-testid=desktop-notifications][data-state=off]').waitFor();
    await goTo(page, '#/');
    await look(page, 'hidden');
    await done(page, 'untold.pdf');
    assert.deepEqual(await shown(page), [['told.pdf is done', '2 pages']]);
  });

  test('are not asked for by themselves, and a browser that was told not to is believed', async () => {
    const page = await as('rosa');
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
