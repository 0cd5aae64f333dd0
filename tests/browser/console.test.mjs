// The console in a real Chromium against a real `courant up`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { card, connected, drop, ended, leftOut, openPage, PATIENCE, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { fixture } from './up.mjs';

describe('the console', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant();

  /** By the link that `courant up` printed. */
  async function signedIn(options) {
    const page = await openPage(courant.browser, options);
    await page.goto(courant.up.link);
    await connected(page);
    return page;
  }

  test('the link signs in, and its token leaves the address bar', async () => {
    const page = await signedIn();
    assert.ok(!page.url().includes('token='), page.url());
    await page.reload();
    await connected(page);
    assert.deepEqual(page.faults, []);
  });

  test('without a link there is a way to sign in', async () => {
    const page = await openPage(courant.browser);
    await page.goto(courant.up.link.split('#')[0]);
    await page.getByTestId('signin-token').fill('nonsense');
    await page.getByTestId('signin-submit').click();
    await page.getByTestId('signin-message').waitFor();
    await shot(page, 'signin');
    await page.getByTestId('signin-token').fill(courant.up.courant('token', '--sub', 'alice'));
    await page.getByTestId('signin-submit').click();
    await connected(page);
  });

  test('a dropped PDF moves to its end, its text is shown and can be downloaded', async () => {
    const page = await signedIn();
    const base64 = readFileSync(fixture('cc-by-sa-4.0/pages-120.pdf')).toString('base64');
    await page.evaluate(() => {
      globalThis.seen = new Set();
      new MutationObserver(() => {
        for (const bar of document.querySelectorAll('[data-testid=job-progress]')) {
          globalThis.seen.add(Number(bar.getAttribute('aria-valuenow')));
        }
      }).observe(document.body, { subtree: true, attributes: true, childList: true });
    });
    await drop(page, [{ name: 'dropped.pdf', base64 }]);
    await card(page, 'dropped.pdf').waitFor();
    await ended(page, 'dropped.pdf');
    const seen = await page.evaluate(() => [...globalThis.seen].sort((a, b) => a - b));
    assert.ok(seen.length >= 3, `the bar showed only ${seen}`);

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      card(page, 'dropped.pdf').getByTestId('download-md').click(),
    ]);
    assert.match(readFileSync(await download.path(), 'utf8'), /Hello, here is some text without a meaning/);
    await shot(page, 'done-desktop');

    await card(page, 'dropped.pdf').getByTestId('open-job').click();
    await page.getByTestId('tab-read').click();
    await page.getByTestId('job-text').filter({ hasText: 'Hello, here is some text' }).waitFor();
    await shot(page, 'result-desktop');
    assert.deepEqual(page.faults, []);
  });

  test('two jobs at once have a bar each', async () => {
    const page = await signedIn();
    const files = ['one.pdf', 'two.pdf'].map((name) => ({ name, mimeType: 'application/pdf', buffer: pages(400) }));
    await page.getByTestId('dropzone-input').setInputFiles(files);
    for (const { name } of files) await card(page, name).getByTestId('job-progress').waitFor();
    await shot(page, 'running-desktop');
    for (const { name } of files) await ended(page, name);
    assert.deepEqual(page.faults, []);
  });

  test('a file that is no PDF says so', async () => {
    const page = await signedIn();
    const file = { name: 'broken.pdf', mimeType: 'application/pdf', buffer: Buffer.from('this is no PDF') };
    await page.getByTestId('dropzone-input').setInputFiles(file);
    await ended(page, 'broken.pdf', 'failed');
    const error = card(page, 'broken.pdf').getByTestId('job-error');
    assert.equal(await error.getAttribute('data-code'), 'NOT_A_PDF');
    await shot(page, 'failed-desktop');
  });

  test('everything is killed in mid-job and comes back: the page goes on by itself', async () => {
    const page = await signedIn();
    const file = { name: 'survivor.pdf', mimeType: 'application/pdf', buffer: pages(1500) };
    await page.getByTestId('dropzone-input').setInputFiles(file);
    const progress = card(page, 'survivor.pdf').getByTestId('job-pages');
    await page.waitForFunction((bar) => Number(bar?.dataset.done) > 5, await progress.elementHandle());
    await courant.up.kill();
    await page.locator('[data-testid=connection-badge]:not([data-state=connected])').first().waitFor();
    await shot(page, 'cut-desktop');
    await courant.up.launch();
    await connected(page);
    await ended(page, 'survivor.pdf');
    assert.deepEqual(page.faults, []);
  });

  test('on a phone nothing sticks out', async () => {
    const page = await signedIn({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
    await ended(page, 'survivor.pdf');
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wider <= 0, `${wider} pixels stick out`);
    await shot(page, 'phone');
  });

  test('in the dark it is dark', async () => {
    const page = await signedIn({ colorScheme: 'dark' });
    await ended(page, 'survivor.pdf');
    await shot(page, 'dark-desktop');
  });
});
