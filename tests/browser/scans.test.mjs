// What OCR reads is shown page by page, while the pages behind it are still being read.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { card, choose, leftOut, PATIENCE, pdf, shot } from './page.mjs';
import { scans } from './pdf.mjs';

const skip = process.env.COURANT_SKIP_OCR ? 'left out on purpose (COURANT_SKIP_OCR)' : leftOut;
const sentence = 'The ferry leaves the harbour at seven.';

/** A picture of a page full of text, as a scanner makes it. */
async function scanned(browser) {
  const page = await browser.newPage();
  const [width, height] = [1700, 2200];
  const url = await page.evaluate(
    ([width, height, sentence]) => {
      const canvas = Object.assign(document.createElement('canvas'), { width, height });
      const pen = canvas.getContext('2d');
      pen.fillStyle = 'white';
      pen.fillRect(0, 0, width, height);
      pen.fillStyle = 'black';
      pen.font = '48px serif';
      for (let line = 0; line < 24; line++) pen.fillText(sentence, 200, 250 + 75 * line);
      return canvas.toDataURL('image/jpeg', 0.9);
    },
    [width, height, sentence],
  );
  await page.close();
  return { jpeg: Buffer.from(url.split(',')[1], 'base64'), width, height };
}

describe('a scanned document', { skip, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant(['--ocr', 'tesseract']);

  test('is shown page by page as it is read, before the job has ended', async () => {
    const document = scans(6, await scanned(courant.browser));
    const page = await courant.signIn('sam');
    await choose(page, pdf('scan.pdf', document));
    await card(page, 'scan.pdf').getByTestId('open-job').click();
    await page.waitForFunction((sentence) => {
      const state = document.querySelector('[data-testid=job-detail]')?.dataset.state;
      const text = document.querySelector('#page-1 .page-text[data-state=read]')?.textContent;
      return state === 'running' && text?.includes(sentence);
    }, sentence);
    await shot(page, 'scan-running');
    await page.locator('[data-testid=job-detail][data-state=succeeded]').waitFor();
    await page.getByTestId('goto-page').fill('6');
    await page.getByTestId('goto-page').press('Enter');
    await page.locator('#page-6 .page-text[data-state=read]').filter({ hasText: sentence }).waitFor();
    assert.deepEqual(page.faults, []);
  });
});
