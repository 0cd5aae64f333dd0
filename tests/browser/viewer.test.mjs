// How a document gets onto the screen: by ranges where they come through, whole where they do not.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { card, choose, ended, goTo, leftOut, PATIENCE, pdf, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { Proxy } from './proxy.mjs';
import { fixture } from './up.mjs';

describe('a large document', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const large = pages(24, { weight: 1_000_000 });
  let jobId;
  const courant = startCourant();

  before(async () => {
    jobId = await courant.up.submit('pam', 'large.pdf', large);
  });

  /** Its page, seen through a proxy that does with ranges what it was told. */
  async function seen(t, ranges) {
    const proxy = await Proxy.to(courant.up.http);
    t.after(() => proxy.close());
    proxy.ranges = ranges;
    const page = await courant.signIn('pam', { port: proxy.port });
    await ended(page, 'large.pdf');
    await goTo(page, `#/jobs/${jobId}`);
    const reads = () => proxy.asked.filter(({ path }) => path.endsWith('/document'));
    const bytes = () => reads().reduce((sum, each) => sum + each.bytes, 0);
    return { proxy, page, reads, bytes };
  }

  const drawn = (page, number) => page.locator(`#page-${number} canvas[data-drawn=true]`).waitFor();

  async function goToPage(page, number) {
    await page.getByTestId('goto-page').fill(String(number));
    await page.getByTestId('goto-page').press('Enter');
    await drawn(page, number);
  }

  test('is drawn long before it was read, and what is drawn later is read later', async (t) => {
    const { page, reads, bytes } = await seen(t, 'pass');
    await drawn(page, 1);
    assert.ok(reads().length > 1 && reads().every(({ range }) => /^bytes=\d+-\d+$/.test(range)), JSON.stringify(reads()));
    const first = bytes(); 
    assert.ok(first < large.length / 2, `${first} of ${large.length} bytes`);
    await goToPage(page, 20);
    assert.ok(bytes() > first && bytes() < large.length, `${bytes()} of ${large.length} bytes`);
    assert.deepEqual(page.faults, []);
  });

  test('is closed without an error while it is being opened', async (t) => {
    const { page, proxy } = await seen(t, 'pass');
    // At the greeting of pdf.js, at its first bytes, and while it waits for more.
    for (const waitMs of [0, 5, 10, 20, 40, 80, 160, 320]) {
      for (const ranges of ['pass', 'held']) {
        proxy.ranges = ranges;
        await goTo(page, '#/');
        await goTo(page, `#/jobs/${jobId}`);
        await page.waitForTimeout(waitMs);
      }
    }
    proxy.ranges = 'pass';
    await goTo(page, '#/');
    await goTo(page, `#/jobs/${jobId}`);
    await drawn(page, 1);
    assert.deepEqual(page.faults, []);
  });

  test('is read once and whole behind a proxy that drops what ranges ask for', async (t) => {
    const { page, reads } = await seen(t, 'dropped');
    await drawn(page, 1);
    await goToPage(page, 20);
    assert.equal(reads().length, 1);
    assert.equal(reads()[0].bytes, large.length);
    assert.deepEqual(page.faults, []);
  });

  test('is read once and whole behind a proxy that refuses ranges', async (t) => {
    const { page, reads } = await seen(t, 'refused');
    await drawn(page, 1);
    await goToPage(page, 20);
    assert.equal(reads().filter(({ range }) => range === undefined).length, 1);
    assert.equal(reads().length, 2);
    assert.deepEqual(page.faults, []);
  });

  test('goes on being read when the network comes back', async (t) => {
    const { proxy, page } = await seen(t, 'pass');
    await drawn(page, 1);
    proxy.cut();
    await page.getByTestId('goto-page').fill('23');
    await page.getByTestId('goto-page').press('Enter');
    await page.locator('[data-testid=connection-badge]:not([data-state=connected])').waitFor();
    assert.equal(await page.locator('#page-23 canvas[data-drawn=true]').count(), 0);
    proxy.mend();
    await drawn(page, 23);
    assert.deepEqual(page.faults, []);
  });

  test('that is locked asks for its password in a tab that does not know it', async (t) => {
    const { page, reads } = await seen(t, 'pass');
    await goTo(page, '#/');
    await choose(page, pdf('locked.pdf', readFileSync(fixture('cc-by-sa-4.0/password-openpassword.pdf'))));
    await ended(page, 'locked.pdf', 'failed');
    await card(page, 'locked.pdf').getByTestId('password').fill('openpassword');
    await card(page, 'locked.pdf').getByTestId('password-submit').click();
    await ended(page, 'locked.pdf');
    await card(page, 'locked.pdf').getByTestId('open-job').click();
    await drawn(page, 1);
    const before = reads().length;
    await page.reload();
    await page.getByTestId('unlock-password').fill('wrong');
    await page.getByTestId('unlock-submit').click();
    await page.getByText('That password does not open it.').waitFor();
    await shot(page, 'locked');
    await page.getByTestId('unlock-password').fill('openpassword');
    await page.getByTestId('unlock-submit').click();
    await drawn(page, 1);
    assert.ok(reads().slice(before).every(({ range }) => range !== undefined));
    assert.deepEqual(page.faults, []);
  });
});
