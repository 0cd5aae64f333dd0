// Nothing on the page moves by itself: how much of it jumps on the main ways, as Chromium measures it (Cumulative Layout Shift).

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { measureShift, shiftSoFar } from './axe.mjs';
import { startCourant } from './courant.mjs';
import { card, choose, connected, ended, goTo, leftOut, PATIENCE, pdf } from './page.mjs';
import { pages } from './pdf.mjs';

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

describe('a steady page', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant();

  for (const [size, options] of Object.entries({ wide: {}, phone })) {
    test(`nothing jumps on the main ways, ${size}`, async (t) => {
      const page = await courant.signIn(`calm-${size}`, { role: 'admin', prepare: measureShift, ...options });
      const judge = async (name) => {
        const { sum, of } = await shiftSoFar(page);
        t.diagnostic(`${name}: ${sum.toFixed(4)}`);
        assert.ok(sum < 0.05, `${name} shifted by ${sum}: ${JSON.stringify(of)}`);
      };
      await choose(page, pdf('first.pdf', pages(1)));
      await ended(page, 'first.pdf');
      await shiftSoFar(page);
      await choose(page, ...[1, 2, 3].map((each) => pdf(`calm-${each}.pdf`, pages(60))));
      await page.getByTestId('batch-strip').waitFor();
      // That files come is the wish of who brought them, and makes room for them; from then on nothing moves.
      await page.evaluate(() => new Promise(requestAnimationFrame));
      await shiftSoFar(page);
      for (const each of [1, 2, 3]) await ended(page, `calm-${each}.pdf`);
      await judge('three jobs');
      await choose(page, pdf('seen.pdf', pages(200)));
      await card(page, 'seen.pdf').waitFor();
      await shiftSoFar(page);
      await card(page, 'seen.pdf').getByTestId('open-job').click();
      await page.getByTestId('job-detail').waitFor();
      await page.locator('[data-testid=job-detail][data-state=succeeded]').waitFor();
      await page.locator('#page-1 .page-text[data-state=read]').waitFor();
      await judge('a job');
      for (const [name, hash, shown] of [
        ['history', '#/history', 'job-row'],
        ['queue', '#/queue', 'lane'],
        ['notifications', '#/notifications', 'notification'],
        ['admin', '#/admin', 'worker'],
      ]) {
        await goTo(page, hash);
        await page.getByTestId(shown).first().waitFor();
        await judge(name);
      }
      await page.reload();
      await connected(page);
      await page.getByTestId('worker').first().waitFor();
      await judge('admin, opened again');
    });
  }
});
