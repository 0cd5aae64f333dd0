// The console's page of webhooks: a secret that is shown once and verifies, a test, deliveries, and what is switched off.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, describe, test } from 'node:test';

import { Webhook } from 'standardwebhooks';
import { startCourant } from './courant.mjs';
import { goTo, leftOut, PATIENCE } from './page.mjs';

/** Takes webhooks; `status` is answered. */
class Receiver {
  status = 204;
  arrived = [];

  static async start() {
    const receiver = new Receiver();
    receiver.server = createServer(async (asked, answer) => {
      const parts = [];
      for await (const part of asked) parts.push(part);
      receiver.arrived.push({ headers: asked.headers, body: Buffer.concat(parts).toString() });
      answer.writeHead(receiver.status).end();
    }).listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}/hook`;
    return receiver;
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe('webhooks', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  let receiver;
  const courant = startCourant(async () => {
    receiver = await Receiver.start();
    return ['--webhook-allow', '127.0.0.0/8', '--webhook-http'];
  });

  after(() => receiver?.close());

  test('one is added, tested, rotated, switched off by its receiver and enabled again', async () => {
    const page = await courant.signIn('hana');
    await page.getByTestId('nav-webhooks').click();
    const row = page.getByTestId('webhook');

    await page.getByTestId('webhook-url').fill('https://10.0.0.1/');
    await page.getByTestId('create-webhook').click();
    await page.getByTestId('new-webhook').getByRole('alert').filter({ hasText: 'private address' }).waitFor();

    await page.getByTestId('webhook-url').fill(receiver.url);
    await page.getByTestId('create-webhook').click();
    const secret = await page.getByTestId('webhook-secret').locator('code').innerText();
    await page.getByTestId('secret-done').click();
    await page.getByTestId('webhook-secret').waitFor({ state: 'detached' });
    await row.filter({ hasText: receiver.url }).waitFor();

    await row.getByTestId('webhook-test').click();
    await page.getByTestId('toast').filter({ hasText: 'Received' }).waitFor();
    const { headers, body } = receiver.arrived[0];
    assert.equal(new Webhook(secret).verify(body, headers).type, 'courant.webhook.test');

    await row.getByTestId('webhook-rotate').click();
    const next = await page.getByTestId('webhook-secret').locator('code').innerText();
    assert.notEqual(next, secret);
    await page.getByTestId('secret-done').click();

    receiver.status = 410;
    await page.evaluate(
      ([bearer, body]) =>
        fetch('/v1/jobs?name=a&kind=nobody', { method: 'POST', headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/pdf' }, body }),
      [page.link.split('token=')[1], '%PDF-1.7 hello'],
    );
    await goTo(page, '#/notifications');
    await page.getByTestId('notification').filter({ hasText: 'switched off' }).waitFor();
    await goTo(page, '#/webhooks');
    await page.locator('[data-testid=webhook][data-state=switched-off]').waitFor();
    await row.locator('summary').click();
    await row.getByTestId('webhook-delivery').filter({ hasText: '410' }).first().waitFor();

    receiver.status = 204;
    await row.getByTestId('webhook-enable').click();
    await page.locator('[data-testid=webhook][data-state=enabled]').waitFor();
    await row.getByTestId('webhook-replay').click();
    await page.getByTestId('confirm-yes').click();
    await row.getByTestId('webhook-delete').click();
    await page.getByTestId('confirm-yes').click();
    await row.waitFor({ state: 'detached' });
    assert.deepEqual(page.faults, []);
  });
});
