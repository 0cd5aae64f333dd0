// What a careful eye would look at on every page: screen readers, keyboard, phones, calm, weight.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { findings, measureShift, shiftSoFar, sticksOut } from './axe.mjs';
import { startCourant } from './courant.mjs';
import { card, choose, connected, ended, goTo, leftOut, openPage, PATIENCE, pdf, shot } from './page.mjs';
import { pages } from './pdf.mjs';

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

describe('the quality of the console', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const places = {};
  const courant = startCourant();

  before(async () => {
    const page = await courant.signIn('kim', { role: 'admin' });
    await choose(page, pdf('one.pdf', pages(3)), pdf('two.pdf', Buffer.from('no PDF')), pdf('three.pdf', pages(2)));
    await ended(page, 'one.pdf');
    await ended(page, 'two.pdf', 'failed');
    await ended(page, 'three.pdf');
    Object.assign(places, {
      home: '#/',
      job: await card(page, 'one.pdf').getByTestId('open-job').getAttribute('href'),
      failed: await card(page, 'two.pdf').getByTestId('open-job').getAttribute('href'),
      batch: await page.getByTestId('batch-strip').getAttribute('href'),
      history: '#/history',
      queue: '#/queue',
      notifications: '#/notifications',
      admin: '#/admin',
    });
    await page.context().close();
  });

  const ready = {
    home: 'earlier',
    job: 'page-row',
    failed: 'job-error',
    batch: 'batch-progress',
    history: 'job-row',
    queue: 'lane',
    notifications: 'notifications-page',
    admin: 'worker',
  };

  for (const colorScheme of ['light', 'dark']) {
    for (const [size, options] of Object.entries({ wide: { viewport: { width: 1440, height: 900 } }, phone })) {
      test(`every page, ${colorScheme} and ${size}: nothing keeps people out, nothing sticks out`, async () => {
        // The light ones are looked at whole.
        const judged = (page) => findings(page, { onlyColours: colorScheme === 'dark' });
        const page = await openPage(courant.browser, { colorScheme, ...options });
        await page.emulateMedia({ reducedMotion: 'reduce' });
        await page.goto(courant.up.link.split('#')[0]);
        await page.getByTestId('signin-token').waitFor();
        assert.deepEqual(await judged(page), [], 'signin');
        await shot(page, `signin-${colorScheme}-${size}`);
        await page.goto(courant.up.linkFor('kim', '--role', 'admin'));
        await connected(page);
        for (const [name, hash] of Object.entries(places)) {
          await goTo(page, hash);
          await page.getByTestId(ready[name]).first().waitFor();
          assert.deepEqual(await judged(page), [], name);
          const wider = await sticksOut(page);
          assert.equal(wider, 0, `${wider} pixels stick out of ${name}`);
          await shot(page, `${name}-${colorScheme}-${size}`);
        }
        await page.getByTestId('connection-badge').click();
        await page.getByTestId('connection-details').waitFor();
        assert.deepEqual(await judged(page), [], 'connection details');
        assert.deepEqual(page.faults, []);
      });
    }
  }

  test('everything is reached by keyboard, and the focus is seen', async () => {
    const page = await courant.signIn('kim');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement?.dataset.testid), 'search');
    await page.keyboard.type('one');
    await page.keyboard.press('Enter');
    await page.getByTestId('job-row').filter({ hasText: 'one.pdf' }).waitFor();
    await page.getByTestId('delete-job').first().focus();
    const outline = await page.getByTestId('delete-job').first().evaluate((button) => {
      button.dispatchEvent(new KeyboardEvent('keydown', { key: 'Tab' }));
      return getComputedStyle(button).outlineStyle;
    });
    assert.equal(outline, 'solid');
    await page.getByTestId('bell').focus();
    await page.keyboard.press('Enter');
    await page.getByTestId('notification-popover').waitFor();
    await page.keyboard.press('Escape');
    await page.getByTestId('notification-popover').waitFor({ state: 'detached' });
    await page.waitForFunction(() => document.activeElement?.dataset.testid === 'bell');
  });

  test('the keyboard stays where it was when a button goes away', async () => {
    const page = await courant.signIn('max');
    await choose(page, pdf('right.pdf', pages(2)));
    await ended(page, 'right.pdf');
    const at = (name) => page.waitForFunction((text) => document.activeElement?.textContent === text, name);
    await courant.up.workers('drain');
    await choose(page, pdf('left.pdf', pages(1)));
    await card(page, 'left.pdf').getByTestId('cancel-job').click();
    await ended(page, 'left.pdf', 'cancelled');
    await card(page, 'left.pdf').getByTestId('retry-job').focus();
    await page.keyboard.press('Enter');
    await at('left.pdf');
    await courant.up.workers('resume');
    await ended(page, 'left.pdf');
    await card(page, 'left.pdf').getByTestId('delete-job').focus();
    await page.keyboard.press('Enter');
    await at('right.pdf');
  });

  test('nothing moves for those who want calm, and nothing jumps while a job runs', async () => {
    const page = await courant.signIn('lea', { reducedMotion: 'reduce', prepare: measureShift });
    await choose(page, pdf('calm.pdf', pages(300)));
    await card(page, 'calm.pdf').getByTestId('open-job').click();
    await page.locator('#page-1 canvas[data-drawn=true]').waitFor();
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    await shiftSoFar(page);
    await page.locator('[data-testid=job-detail][data-state=succeeded]').waitFor();
    const { sum, of } = await shiftSoFar(page);
    assert.ok(sum < 0.1, `the layout shifted by ${sum}: ${JSON.stringify(of)}`);
  });

  test('the policy of the page is kept: nothing inline, no eval', async () => {
    const broken = [];
    const prepare = (page) =>
      page.on('console', (message) => {
        if (/Content Security Policy/i.test(message.text())) broken.push(message.text());
      });
    const page = await courant.signIn('kim', { role: 'admin', prepare });
    for (const [name, hash] of Object.entries(places)) {
      await goTo(page, hash);
      await page.getByTestId(ready[name]).first().waitFor();
    }
    await page.getByTestId('bell').click();
    await page.getByTestId('notification-popover').waitFor();
    assert.deepEqual(broken, []);
  });
});

describe('the built files', () => {
  const dist = new URL('../../bridge/web/dist/', import.meta.url).pathname;
  const built = existsSync(join(dist, 'assets')) ? false : 'the console was not built';
  const gzipped = (path) => gzipSync(readFileSync(join(dist, path))).length;

  /** What the first page loads: the page, its sheets and scripts, and what these import at once. */
  function firstLoad() {
    const html = readFileSync(join(dist, 'index.html'), 'utf8');
    const wanted = [...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map(([, path]) => path);
    const seen = new Set(['index.html']);
    while (wanted.length > 0) {
      const path = wanted.pop();
      if (seen.has(path) || !existsSync(join(dist, path))) continue;
      seen.add(path);
      if (!path.endsWith('.js')) continue;
      const code = readFileSync(join(dist, path), 'utf8');
      for (const [, name] of code.matchAll(/(?:^|[;}])import(?:[^;"'`()]*?from)?["'`]\.\/([^"'`]+)["'`]/g)) wanted.push(`assets/${name}`);
    }
    return [...seen];
  }

  test('the first load is under 250 kB, and the page renderer is not in it', { skip: built }, (t) => {
    const loaded = firstLoad();
    const total = loaded.reduce((sum, path) => sum + gzipped(path), 0);
    t.diagnostic(`${loaded.length} files, ${total} bytes after gzip`);
    assert.ok(total > 50_000 && total < 250_000, `${total} bytes: ${loaded}`);
    assert.ok(!loaded.some((path) => /pdf|AdminPage|HistoryPage/.test(path)), String(loaded));
    assert.ok(readdirSync(join(dist, 'assets')).some((name) => name.startsWith('pdf.worker')));
  });

  test('nothing is asked of anybody else', { skip: built }, () => {
    const html = readFileSync(join(dist, 'index.html'), 'utf8');
    assert.doesNotMatch(html, /(?:src|href)="(?:https?:)?\/\//);
    for (const name of readdirSync(join(dist, 'assets')).filter((each) => each.endsWith('.css'))) {
      assert.doesNotMatch(readFileSync(join(dist, 'assets', name), 'utf8'), /@import|url\((?!["']?(?:\/|#|data:))/);
    }
  });
});
