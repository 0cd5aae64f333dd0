// What a worker of another kind made, on the page of its job.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { findings, sticksOut } from './axe.mjs';
import { startCourant } from './courant.mjs';
import { OutputsWorker } from './outputs-worker.mjs';
import { card, choose, goTo, leftOut, PATIENCE, pdf, shot } from './page.mjs';
import { pages } from './pdf.mjs';

const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGNQaJgARAwQCgAfjgTBJKLpzQAAAABJRU5ErkJggg==',
  'base64',
);
const csv = ['word,count', ...Array.from({ length: 250 }, (_, at) => `word ${at + 1},${at * 7}`)].join('\n');
const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="globalThis.ran=1"><script>globalThis.ran=1</script></svg>';
const html = '<script>globalThis.ran=1</script><img src=x onerror="globalThis.ran=1">';

describe('outputs', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant();
  let worker;

  before(() => {
    worker = new OutputsWorker(courant.up, {
      'chart.png': png, 'counts.csv': csv, 'drawing.svg': svg, 'model.weights': 'abc', 'page.html': html,
    });
  });
  after(() => worker?.kill());

  /** Submits some work with parameters, and opens its page. */
  async function submitted(user, query, options) {
    const page = await courant.signIn(user, options);
    const headers = { authorization: `Bearer ${courant.up.courant('token', '--sub', user)}` };
    const url = `http://127.0.0.1:${courant.up.http}/v1/jobs?name=a.txt&kind=words&${query}`;
    const answer = await fetch(url, { method: 'POST', body: 'one two', headers });
    assert.equal(answer.status, 201, await answer.clone().text());
    await goTo(page, `#/jobs/${(await answer.json()).job.jobId}`);
    await page.locator('[data-testid=job-detail][data-state=succeeded]').waitFor();
    return page;
  }

  async function preview(page, name, state) {
    await page.locator(`[data-testid=output][data-name="${name}"]`).getByTestId('preview-output').click();
    const shown = page.locator(`[data-testid=output-preview][data-state=${state}][aria-label="Preview of ${name}"]`);
    await shown.waitFor();
    return shown;
  }

  test('each is listed with its type and size, previewed by its type, and downloaded; none runs script', async () => {
    const page = await submitted('ann', 'parameters=%7B%22mode%22%3A%22fast%22%7D');
    const counts = page.locator('[data-testid=output][data-name="counts.csv"]');
    assert.match(await counts.innerText(), /counts\.csv[\s\S]*CSV table, [\d.]+ kB/);

    const image = await preview(page, 'chart.png', 'image');
    await page.waitForFunction(() => document.querySelector('.output-preview img')?.naturalWidth === 2);
    assert.match(await image.locator('img').getAttribute('src'), /^blob:/);
    const table = await preview(page, 'counts.csv', 'text');
    assert.equal(await table.locator('tr').count(), 200);
    assert.match(await table.innerText(), /The first 200 rows are shown/);
    assert.equal(await table.locator('td').nth(1).evaluate((cell) => getComputedStyle(cell).textAlign), 'right');
    await shot(page, 'outputs-1280');
    assert.match(await (await preview(page, 'model.weights', 'none')).innerText(), /no preview of this type/);
    await preview(page, 'drawing.svg', 'image');
    assert.ok((await (await preview(page, 'page.html', 'text')).innerText()).includes(html));
    assert.equal(await page.evaluate(() => globalThis.ran), undefined);

    const [download] = await Promise.all([page.waitForEvent('download'), counts.getByTestId('download-output').click()]);
    assert.equal(download.suggestedFilename(), 'counts.csv');
    assert.equal(readFileSync(await download.path(), 'utf8'), csv);
    assert.equal(await page.getByTestId('parameters').innerText(), '{\n  "mode": "fast"\n}');
    assert.deepEqual(page.faults, []);
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`nobody is kept out, nothing sticks out on a phone (${colorScheme})`, async () => {
      const page = await submitted(`bea-${colorScheme}`, '', { colorScheme, viewport: { width: 390, height: 844 } });
      await preview(page, 'counts.csv', 'text');
      await shot(page, `outputs-390-${colorScheme}`);
      assert.deepEqual(await findings(page), []);
      assert.equal(await sticksOut(page), 0);
    });
  }

  test('large parameters are loaded when one asks for them', async () => {
    const text = 'x'.repeat(3000);
    const page = await submitted('carl', `parameters=${encodeURIComponent(JSON.stringify({ text }))}`);
    // A page that was told of the job, and did not ask for it, does not have them.
    const load = page.getByTestId('load-parameters');
    await load.or(page.getByTestId('parameters')).waitFor();
    if (await load.isVisible()) await load.click();
    await page.getByTestId('parameters').filter({ hasText: text }).waitFor();
  });

  test('parameters go along with a document; wrong ones are said at their field, by the page and by the server', async () => {
    const page = await courant.signIn('dan');
    await page.getByTestId('upload-options').click();
    const field = page.getByTestId('upload-parameters');
    const error = page.getByTestId('upload-parameters-error');
    await field.fill('{"mode": }');
    await choose(page, pdf('a.pdf', pages(1)));
    await error.filter({ hasText: 'not valid JSON' }).waitFor();
    assert.equal(await page.getByTestId('upload').count(), 0);
    assert.deepEqual(await findings(page), []);
    await shot(page, 'upload-options');
    await field.fill(`{"a": ${'['.repeat(40)}${']'.repeat(40)}}`);
    await choose(page, pdf('a.pdf', pages(1)));
    await error.filter({ hasText: /parameters/i }).waitFor();
    await field.fill('{"ocr": "off"}');
    await error.waitFor({ state: 'detached' });
    await choose(page, pdf('a.pdf', pages(1)));
    await card(page, 'a.pdf').getByTestId('open-job').click();
    await page.getByTestId('parameters').filter({ hasText: '"ocr": "off"' }).waitFor();
    assert.deepEqual(page.faults, []);
  });
});
