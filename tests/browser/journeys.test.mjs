// Whole journeys through the console, in a real Chromium against a real `courant up`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { card, choose, connected, ended, goTo, leftOut, PATIENCE, pdf, shot } from './page.mjs';
import { pages } from './pdf.mjs';
import { Proxy } from './proxy.mjs';
import { fixture } from './up.mjs';

describe('journeys', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const courant = startCourant();

  test('pages are drawn, zones light up on them, and what they say stands beside them before the job has ended', async () => {
    const page = await courant.signIn('ann');
    await choose(page, pdf('long.pdf', pages(2000)));
    await card(page, 'long.pdf').getByTestId('open-job').click();
    await page.waitForFunction(() => {
      const state = document.querySelector('[data-testid=job-detail]')?.dataset.state;
      const text = document.querySelector('#page-1 .page-text[data-state=read]')?.textContent;
      return state === 'running' && text?.includes('This is page 1.');
    });
    await page.locator('#page-1 canvas[data-drawn=true]').waitFor();
    await shot(page, 'zones-running');

    const zone = page.locator('#page-1').getByTestId('zone').first();
    await zone.hover();
    const tip = page.locator('#page-1').getByTestId('zone-tip');
    assert.match(await tip.innerText(), /Tool\s*text layer[\s\S]*Certainty\s*\d+ %[\s\S]*Time\s*[\d.]+ m?s/);
    await page.mouse.move(0, 0);
    await tip.waitFor({ state: 'detached' });
    await zone.focus();
    await tip.waitFor();
    await page.locator('#page-1 .piece[data-active=true]').filter({ hasText: 'This is page 1.' }).waitFor();

    await page.locator('[data-testid=job-detail][data-state=succeeded]').waitFor();
    await page.locator('#page-1 .page-text[data-state=read]').filter({ hasText: 'This is page 1.' }).waitFor();
    await page.getByTestId('download-menu').click();
    // By key: a menu that opens moves, and a click that is tried again scrolls the page under it.
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByTestId('download-txt').press('Enter'),
    ]);
    assert.match(readFileSync(await download.path(), 'utf8'), /This is page 2000\./);

    // After a reload the document comes from the bridge, and a page far down is one step away.
    await page.reload();
    await page.locator('[data-testid=pages-view][data-document=open]').waitFor();
    await page.getByTestId('goto-page').fill('500');
    await page.getByTestId('goto-page').press('Enter');
    await page.locator('#page-500 canvas[data-drawn=true]').waitFor();
    assert.deepEqual(page.faults, []);
  });

  test('two people see their own jobs only', async () => {
    const [bea, carl] = [await courant.signIn('bea'), await courant.signIn('carl')];
    await choose(bea, pdf('secret.pdf', pages(2)));
    await ended(bea, 'secret.pdf');
    const jobId = await card(bea, 'secret.pdf').getAttribute('data-job-id');
    assert.equal(await card(carl, 'secret.pdf').count(), 0);
    await goTo(carl, `#/jobs/${jobId}`);
    await carl.getByTestId('job-missing').waitFor();
    await goTo(carl, '#/history');
    await carl.getByText('Nothing here yet').waitFor();
  });

  test('twenty documents at once are one batch, and each tells how it goes', async () => {
    const page = await courant.signIn('dan');
    const files = Array.from({ length: 20 }, (_, at) => pdf(`paper-${String(at + 1).padStart(2, '0')}.pdf`, pages(3 + at)));
    await choose(page, ...files);
    await page.getByTestId('batch-strip').click();
    await page.getByTestId('batch-progress').waitFor();
    await shot(page, 'batch-running');
    // Not by the bar: it is full whenever all that have arrived are finished.
    await page.locator('[data-testid=job-card][data-state=succeeded]').nth(19).waitFor();
    await page.locator('[data-testid=batch-progress][aria-valuenow="100"]').waitFor();
    assert.equal(await page.getByTestId('job-card').count(), 20);
    assert.deepEqual(page.faults, []);
  });

  test('the network is cut in mid-job: what is told meanwhile is done afterwards, and nothing is missed', async (t) => {
    const proxy = await Proxy.to(courant.up.http);
    t.after(() => proxy.close());
    const page = await courant.signIn('eve', { port: proxy.port });
    await choose(page, pdf('kept.pdf', pages(1500)));
    await page.waitForFunction(() => Number(document.querySelector('[data-testid=job-pages]')?.dataset.done) > 5);
    // Nobody takes it: it waits for as long as the network is away.
    await courant.up.workers('drain');
    await choose(page, pdf('waits.pdf', pages(2)));
    await card(page, 'waits.pdf').waitFor();
    proxy.cut();
    await page.locator('[data-testid=connection-badge]:not([data-state=connected])').waitFor();
    await card(page, 'waits.pdf').getByTestId('cancel-job').click();
    await page.getByTestId('offline-banner').filter({ hasText: 'catches up' }).waitFor();
    await shot(page, 'cut');
    proxy.mend();
    await connected(page);
    await ended(page, 'waits.pdf', 'cancelled');
    await courant.up.workers('resume');
    await ended(page, 'kept.pdf');
    assert.deepEqual(page.faults, []);
  });

  test('a session that ends says so before, and one signs in again', async () => {
    const page = await courant.signIn('fay', { ttl: '8s' });
    await page.getByTestId('session-banner').filter({ hasText: 'ends in' }).waitFor();
    await page.getByTestId('signin-message').filter({ hasText: 'the token ran out' }).waitFor();
    await page.getByTestId('signin-token').fill(courant.up.linkFor('fay'));
    await page.getByTestId('signin-submit').click();
    await connected(page);
    assert.deepEqual(page.faults, []);
  });

  test('finding, deleting with a way back, trying again', async () => {
    const page = await courant.signIn('gus');
    await choose(page, pdf('alpha.pdf', pages(1)), pdf('beta.pdf', Buffer.from('no PDF')));
    await ended(page, 'alpha.pdf');
    await ended(page, 'beta.pdf', 'failed');
    assert.equal(await card(page, 'beta.pdf').getByTestId('retry-job').count(), 0, 'nothing can make a PDF of it');
    await card(page, 'beta.pdf').getByTestId('upload-again').waitFor();
    await page.getByTestId('search').fill('alph');
    await page.getByTestId('search').press('Enter');
    const rows = page.getByTestId('job-row');
    await rows.filter({ hasText: 'alpha.pdf' }).waitFor();
    await page.waitForFunction(() => document.querySelectorAll('[data-testid=job-row]').length === 1);
    await goTo(page, '#/history?state=failed');
    await rows.filter({ hasText: 'beta.pdf' }).waitFor();
    await rows.filter({ hasText: 'beta.pdf' }).getByTestId('delete-job').click();
    await rows.filter({ hasText: 'beta.pdf' }).waitFor({ state: 'detached' });
    await page.getByTestId('toast-action').click();
    await rows.filter({ hasText: 'beta.pdf' }).waitFor();
    await rows.filter({ hasText: 'beta.pdf' }).getByTestId('delete-job').click();
    const deleted = page.getByTestId('toast').filter({ hasText: 'deleted' });
    await deleted.first().waitFor();
    await page.waitForFunction(() => !document.body.textContent.includes('beta.pdf deleted'));
    await page.reload();
    await page.getByText('No job matches').waitFor();
    assert.deepEqual(page.faults, []);
  });

  test('what one hears of stays until it is read, on every device', async () => {
    const page = await courant.signIn('hal');
    await choose(page, pdf('heard.pdf', pages(1)));
    await page.locator('[data-testid=bell][data-unread="1"]').waitFor();
    const other = await courant.signIn('hal');
    await other.locator('[data-testid=bell][data-unread="1"]').waitFor();
    await other.getByTestId('bell').click();
    await other.getByTestId('notification').filter({ hasText: 'heard.pdf succeeded' }).waitFor();
    await other.getByTestId('read-all').click();
    await page.locator('[data-testid=bell][data-unread="0"]').waitFor();
  });

  test('admins see workers, figures and deeds, and drain a worker; work that nobody does is named', async () => {
    const page = await courant.signIn('root', { role: 'admin' });
    const token = page.link.split('token=')[1];
    await page.evaluate(
      ([bearer, body]) =>
        fetch('/v1/jobs?name=letter.docx&kind=docx', { method: 'POST', headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/pdf' }, body }),
      [token, pages(1).toString('latin1')],
    );
    await page.getByTestId('nav-queue').click();
    await page.getByTestId('unserved-kind').filter({ hasText: 'docx' }).waitFor();
    await page.getByTestId('lane').first().waitFor();
    await page.getByTestId('nav-admin').click();
    await page.getByTestId('unserved-kind').filter({ hasText: 'docx' }).waitFor();
    for (const name of ['jobs', 'wait', 'errors', 'latency', 'connections', 'memory', 'cpu']) {
      await page.getByTestId(`chart-${name}`).locator('canvas').waitFor();
    }
    await page.getByTestId('chart-memory').filter({ hasText: /\d+ MB/ }).waitFor();
    const worker = page.getByTestId('worker').first();
    await worker.getByTestId('drain-worker').click();
    await page.getByTestId('confirm-yes').click();
    await page.locator('[data-testid=worker][data-status=draining]').waitFor();
    await page.getByTestId('audit').filter({ hasText: 'Worker drained' }).waitFor();
    await page.getByTestId('connections').filter({ hasText: 'admin' }).waitFor();
    await shot(page, 'admin');
    await page.getByTestId('resume-worker').click();
    await page.locator('[data-testid=worker][data-status=draining]').waitFor({ state: 'detached' });
    assert.deepEqual(page.faults, []);
  });

  test('others do not find the way to the system, and are told when they guess it', async () => {
    const page = await courant.signIn('ida');
    assert.equal(await page.getByTestId('nav-admin').count(), 0);
    await goTo(page, '#/admin');
    await page.getByTestId('admin-refused').waitFor();
  });

  test('a document that was submitted from elsewhere is drawn as well', async () => {
    const file = fixture('cc-by-sa-4.0/two-columns.pdf');
    courant.up.courant('submit', '--server', `http://127.0.0.1:${courant.up.grpc}`, '--token', courant.up.courant('token', '--sub', 'jon'), file);
    const page = await courant.signIn('jon');
    await ended(page, 'two-columns.pdf');
    await card(page, 'two-columns.pdf').getByTestId('open-job').click();
    await page.locator('#page-1 canvas[data-drawn=true]').waitFor();
    await page.locator('#page-1').getByTestId('zone').first().waitFor();
    await shot(page, 'zones-done');
    assert.deepEqual(page.faults, []);
  });

  test('a locked document is opened with its password', async () => {
    const page = await courant.signIn('lou');
    await choose(page, pdf('locked.pdf', readFileSync(fixture('cc-by-sa-4.0/password-openpassword.pdf'))));
    await ended(page, 'locked.pdf', 'failed');
    await card(page, 'locked.pdf').getByTestId('password').fill('openpassword');
    await card(page, 'locked.pdf').getByTestId('password-submit').click();
    await ended(page, 'locked.pdf');
    await card(page, 'locked.pdf').getByTestId('open-job').click();
    await page.locator('#page-1 canvas[data-drawn=true]').waitFor();
    assert.deepEqual(page.faults, []);
  });
});
