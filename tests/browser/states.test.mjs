// What a careful eye would look at in every state that a page can be in: nothing keeps people out, nothing sticks out.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';

import { findings, measureShift, shiftSoFar, sticksOut, tooSmall } from './axe.mjs';
import { startCourant } from './courant.mjs';
import { card, choose, ended, goTo, leftOut, openPage, PATIENCE, pdf, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { fixture, quickPong } from './up.mjs';

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const sizes = { wide: {}, phone };
const longName = 'Framework agreement between the municipality and several hundred suppliers of furniture, annex 14b (final).pdf';
const arabic = 'التقرير السنوي للشركة.pdf';
const nobody = '01K9Z3V5Q6W7E8R9T0Y1M2N3P4';

describe('the states of the console', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const places = {};
  const courant = startCourant(quickPong);

  before(async () => {
    const page = await open('kim');
    const seed = [
      [pdf(longName, pages(3)), 'succeeded'],
      [pdf(arabic, readFileSync(fixture('cc-by-sa-4.0/arabic.pdf'))), 'succeeded'],
      [pdf('table.pdf', readFileSync(fixture('mit/wide-table.pdf'))), 'succeeded'],
      [pdf('locked.pdf', readFileSync(fixture('cc-by-sa-4.0/password-openpassword.pdf'))), 'failed'],
    ];
    for (const [file, state] of seed) {
      await choose(page, file);
      await ended(page, file.name, state);
      places[file.name] = await card(page, file.name).getByTestId('open-job').getAttribute('href');
    }
    await page.context().close();
  });

  const open = (user, options = {}, role) => courant.signIn(user, { reducedMotion: 'reduce', role, ...options });

  /** Looks at a state in both themes. */
  const look = async (page, name) => {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await findings(page, { onlyColours: colorScheme === 'dark' }), [], `${name}, ${colorScheme}`);
    }
    const wider = await sticksOut(page);
    assert.equal(wider, 0, `${wider} pixels stick out of ${name}`);
    await shot(page, `state-${name}-${page.viewportSize().width}`);
  };

  for (const [size, options] of Object.entries(sizes)) {
    test(`signing in, ${size}: what is wrong is said, and nothing moves for it`, async () => {
      const page = await openPage(courant.browser, { reducedMotion: 'reduce', ...options });
      await measureShift(page);
      await page.goto(courant.up.link.split('#')[0]);
      await page.getByTestId('signin-token').fill('nonsense');
      await page.getByTestId('signin-submit').click();
      await page.getByTestId('signin-message').filter({ hasText: 'not a valid token' }).waitFor();
      await look(page, 'signin-nonsense');
      await page.getByTestId('signin-token').fill('not.from.here');
      await page.getByTestId('signin-submit').click();
      await page.getByTestId('signin-message').filter({ hasText: 'not accepted' }).waitFor();
      await look(page, 'signin-refused');
      assert.equal((await shiftSoFar(page)).sum, 0);
    });

    test(`nothing there yet, ${size}: each place says what to do`, async () => {
      const page = await open(`new-${size}`, options);
      await look(page, 'home-empty');
      const transfer = await page.evaluateHandle(() => {
        const held = new DataTransfer();
        held.items.add(new File(['x'], 'held.pdf'));
        return held;
      });
      await page.getByTestId('dropzone').dispatchEvent('dragenter', { dataTransfer: transfer });
      await page.locator('[data-testid=dropzone][data-over=true]').waitFor();
      await look(page, 'home-dragging');
      await page.getByTestId('bell').click();
      await page.getByTestId('notification-popover').waitFor();
      await look(page, 'bell-empty');
      await page.keyboard.press('Escape');
      await goTo(page, '#/history');
      await page.getByRole('link', { name: 'Submit a document' }).waitFor();
      await look(page, 'history-empty');
      await goTo(page, '#/notifications');
      await page.getByTestId('notifications-page').waitFor();
      await look(page, 'notifications-empty');
      await goTo(page, `#/jobs/${nobody}`);
      await page.getByTestId('job-missing').waitFor();
      await look(page, 'job-missing');
      await goTo(page, `#/batches/${nobody}`);
      await page.getByText('There is no such batch').waitFor();
      await look(page, 'batch-missing');
      await goTo(page, '#/admin');
      await page.getByTestId('admin-refused').waitFor();
      await look(page, 'admin-refused');
    });

    test(`work under way, ${size}: uploads, jobs that wait, questions and messages`, async () => {
      const page = await open(`busy-${size}`, options, 'admin');
      await page.route(/\/v1\/jobs\?/, () => undefined);
      await choose(page, pdf('slow.pdf', pages(2)), pdf(longName, pages(2)), { name: 'holiday.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('x') });
      await page.locator('[data-testid=upload][data-state=failed]').waitFor();
      await look(page, 'uploads');
      const stops = page.getByTestId('upload').getByRole('button');
      while ((await stops.count()) > 0) await stops.last().click();
      await page.unrouteAll({ behavior: 'ignoreErrors' });
      await courant.up.workers('drain');
      try {
        await choose(page, ...[1, 2, 3].map((each) => pdf(`waits-${each}.pdf`, pages(2))));
        await page.locator('[data-testid=job-card][data-state=queued]').nth(2).waitFor();
        await look(page, 'home-queued');
        const batch = await page.getByTestId('batch-strip').getAttribute('href');
        await goTo(page, '#/queue');
        await page.getByTestId('lane').first().waitFor();
        await look(page, 'queue-waiting');
        await goTo(page, '#/admin');
        await page.locator('[data-testid=worker][data-status=draining]').first().waitFor();
        await look(page, 'admin-drained');
        await goTo(page, batch);
        await page.getByTestId('cancel-batch').click();
        await page.getByTestId('confirm').waitFor();
        await look(page, 'confirm');
        await page.getByTestId('confirm-no').click();
        // The focus comes back once the question is gone.
        await page.waitForFunction(() => document.activeElement?.dataset.testid === 'cancel-batch');
        await page.getByTestId('cancel-job').first().click();
        await page.getByTestId('toast').filter({ hasText: 'cancelled' }).waitFor();
        await look(page, 'toast-undo');
      } finally {
        await courant.up.workers('resume');
      }
      await goTo(page, '#/admin');
      await page.getByTestId('drain-worker').first().click();
      await page.getByTestId('confirm').waitFor();
      await look(page, 'drain');
    });

    test(`what was read, ${size}: every form of it, and names as long as they come`, async () => {
      const page = await open('kim', options);
      await goTo(page, places[longName]);
      await page.getByTestId('zone').first().focus();
      await page.getByTestId('zone-tip').waitFor();
      await look(page, 'zone-tip');
      for (const tab of ['read', 'txt', 'md', 'json', 'html']) {
        await page.getByTestId(`tab-${tab}`).click();
        await page.getByTestId('job-text').waitFor();
        await look(page, `job-${tab}`);
      }
      await page.getByTestId('download-menu').click();
      await page.getByTestId('download-json').waitFor();
      await look(page, 'downloads');
      await page.keyboard.press('Escape');
      for (const name of [arabic, 'table.pdf']) {
        await goTo(page, places[name]);
        await page.locator('#page-1 .page-text[data-state=read]').waitFor();
        await look(page, name === arabic ? 'job-arabic' : 'job-table');
      }
      const word = page.locator('.page-text td').filter({ hasText: /^Alabama$/ });
      const { height } = await word.evaluate((cell) => {
        const words = document.createRange();
        words.selectNodeContents(cell);
        return words.getBoundingClientRect();
      });
      assert.ok(height < 40, 'the words of a table stay whole');
      await goTo(page, places['locked.pdf']);
      await page.getByTestId('password-form').waitFor();
      await look(page, 'job-locked');
      await goTo(page, '#/history?q=nothing-like-it');
      await page.getByText('No job matches').waitFor();
      await look(page, 'history-none');
      await goTo(page, '#/history');
      await page.getByTestId('job-row').first().getByRole('checkbox').check();
      await look(page, 'history-chosen');
      await goTo(page, '#/notifications');
      await page.getByTestId('notification').first().waitFor();
      await look(page, 'notifications');
    });
  }

  test('away: every view that was not opened yet opens, and the banner covers no heading', async () => {
    const page = await open('kim');
    await page.waitForFunction(() => performance.getEntriesByType('resource').some(({ name }) => name.includes('HistoryPage')));
    await page.context().setOffline(true);
    await page.locator('[data-testid=offline-banner][data-shown=true]').waitFor();
    await look(page, 'offline');
    const covered = await page.evaluate(() => {
      const banner = document.querySelector('[data-testid=offline-banner]').getBoundingClientRect();
      const zone = document.querySelector('[data-testid=dropzone]').getBoundingClientRect();
      return banner.top < zone.bottom;
    });
    assert.equal(covered, false);
    await page.getByTestId('connection-badge').click();
    await page.getByTestId('connection-details').waitFor();
    await look(page, 'badge-offline');
    await page.keyboard.press('Escape');
    for (const [hash, shown] of [['#/history', 'history'], ['#/queue', 'queue-page'], ['#/notifications', 'notifications-page']]) {
      await goTo(page, hash);
      await page.getByTestId(shown).waitFor();
    }
  });

  test('a view that cannot be loaded says so, and what to do', async () => {
    const prepare = (page) => page.route('**/QueuePage*', (route) => route.abort());
    const page = await open('kim', { prepare });
    await goTo(page, '#/queue');
    await page.getByTestId('view-missing').waitFor();
    await look(page, 'view-missing');
  });

  test('chosen colours: how far a job is can be seen', async () => {
    const page = await open('kim', { forcedColors: 'active' });
    await goTo(page, places[longName]);
    const [bar, fill] = await page.getByTestId('job-progress').evaluate((bar) =>
      [bar, bar.firstElementChild].map((part) => getComputedStyle(part).backgroundColor),
    );
    assert.notEqual(bar, fill);
    await look(page, 'forced-colors');
  });

  test('a finger meets everything', async () => {
    const page = await open('kim', phone, 'admin');
    for (const [name, hash, shown] of [
      ['home', '#/', 'earlier'],
      ['job', places[longName], 'page-row'],
      ['locked', places['locked.pdf'], 'password-form'],
      ['history', '#/history', 'job-row'],
      ['queue', '#/queue', 'lane'],
      ['notifications', '#/notifications', 'notification'],
      ['admin', '#/admin', 'worker'],
    ]) {
      await goTo(page, hash);
      await page.getByTestId(shown).first().waitFor();
      assert.deepEqual(await tooSmall(page), [], name);
    }
  });
});
