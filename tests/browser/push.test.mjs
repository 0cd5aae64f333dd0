// Web Push with everything but a push service: the bridge seals, a server here takes what it sends, opens it the way a browser
// would, and hands it to the service worker of a real Chromium.

import assert from 'node:assert/strict';
import { createDecipheriv, createECDH, hkdfSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { connected, goTo, leftOut, PATIENCE, within } from './page.mjs';
import { pages } from './pdf.mjs';

/** Takes what is sent to browsers, and has the keys of one. */
class PushService {
  static async start() {
    const service = new PushService();
    service.ecdh = createECDH('prime256v1');
    service.p256dh = service.ecdh.generateKeys();
    service.auth = randomBytes(16);
    service.arrived = new Promise((resolve) => { service.arrive = resolve; });
    service.server = createServer(async (asked, answer) => {
      const parts = [];
      for await (const part of asked) parts.push(part);
      service.arrive({ headers: asked.headers, body: Buffer.concat(parts) });
      answer.writeHead(201).end();
    }).listen(0, '127.0.0.1');
    await once(service.server, 'listening');
    service.origin = `http://127.0.0.1:${service.server.address().port}`;
    return service;
  }

  /** Opens a letter: RFC 8188 and RFC 8291. */
  open(body) {
    const [salt, length] = [body.subarray(0, 16), body[20]];
    const [sender, sealed] = [body.subarray(21, 21 + length), body.subarray(21 + length)];
    const derive = (secret, from, info, size) => Buffer.from(hkdfSync('sha256', secret, from, info, size));
    const about = Buffer.concat([Buffer.from('WebPush: info\0'), this.p256dh, sender]);
    const secret = derive(this.ecdh.computeSecret(sender), this.auth, about, 32);
    const key = derive(secret, salt, 'Content-Encoding: aes128gcm\0', 16);
    const decipher = createDecipheriv('aes-128-gcm', key, derive(secret, salt, 'Content-Encoding: nonce\0', 12));
    decipher.setAuthTag(sealed.subarray(-16));
    const opened = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
    return JSON.parse(opened.subarray(0, opened.lastIndexOf(2)).toString());
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** The part of a push service that lies in the browser; Chromium's own asks another machine. */
function manager({ endpoint, p256dh, auth }) {
  let subscription = null;
  PushManager.prototype.getSubscription = async () => subscription;
  PushManager.prototype.subscribe = async () => {
    subscription = {
      endpoint,
      options: { applicationServerKey: null },
      toJSON: () => ({ endpoint, expirationTime: null, keys: { p256dh, auth } }),
      unsubscribe: async () => { subscription = null; return true; },
    };
    return subscription;
  };
}

describe('Web Push', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  let service;
  const courant = startCourant(async () => {
    service = await PushService.start();
    return ['--push-contact', 'mailto:ops@example.org', '--push-services', service.origin];
  });

  after(() => service?.close());

  /** A page, and in `pushRequests` what it asked of Web Push and was answered. */
  function signIn(user) {
    const prepare = async (page) => {
      page.pushRequests = [];
      page.on('response', (response) => {
        const { pathname } = new URL(response.url());
        if (pathname.startsWith('/v1/push/')) page.pushRequests.push(`${response.request().method()} ${pathname} ${response.status()}`);
      });
      const [p256dh, auth] = [service.p256dh, service.auth].map((key) => key.toString('base64url'));
      await page.addInitScript(manager, { endpoint: `${service.origin}/send/${user}`, p256dh, auth });
    };
    return courant.signIn(user, { permissions: ['notifications'], prepare });
  }

  async function switchOn(page) {
    await goTo(page, '#/notifications');
    await page.getByTestId('desktop-switch').click();
    await page.locator('[data-testid=desktop-notifications][data-state=pushed]').waitFor();
    // Chromium drops what comes for a service worker that is not active yet; a push service would keep it.
    await within(page.evaluate(async () => { await navigator.serviceWorker.ready; }), 'an active service worker');
  }

  const workerOf = async (page) => page.context().serviceWorkers()[0] ?? page.context().waitForEvent('serviceworker');

  /** Hands a notification to the service worker, as a browser would; resolves when it has looked who is there. */
  async function deliver(page, worker, origin, notification) {
    await worker.evaluate(() => {
      globalThis.all ??= clients.matchAll.bind(clients);
      globalThis.looked = new Promise((resolve) => {
        clients.matchAll = (options) => {
          const found = globalThis.all(options);
          found.then(() => resolve());
          return found;
        };
      });
    });
    const debug = await page.context().newCDPSession(page);
    const known = new Promise((resolve) => {
      debug.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
        const ours = registrations.find(({ scopeURL }) => scopeURL.startsWith(origin));
        if (ours) resolve(ours.registrationId);
      });
    });
    await debug.send('ServiceWorker.enable');
    await debug.send('ServiceWorker.deliverPushMessage', { origin, registrationId: await within(known, 'the registration of the service worker'), data: JSON.stringify(notification) });
    await within(worker.evaluate(() => globalThis.looked), 'the service worker looking who is there');
    await debug.detach();
  }

  const shown = (worker) =>
    worker.evaluate(async () => (await registration.getNotifications()).map(({ title, tag }) => [title, tag]));

  async function until(look) {
    const end = Date.now() + PATIENCE;
    while (Date.now() < end) {
      const found = await look();
      if (found.length > 0) return found;
    }
    throw new Error('no notification was shown');
  }

  test('tells of a job that is done while no page is open, and a click opens it', async () => {
    const page = await signIn('vic');
    await switchOn(page);
    const worker = await workerOf(page);
    const here = page.url();
    const { origin } = new URL(here);
    // While one looks the page tells by itself.
    await deliver(page, worker, origin, { notificationId: 'seen', title: 'not to be seen', body: '', jobId: null });

    await page.goto('about:blank');
    const jobId = await courant.up.submit('vic', 'pushed.pdf', pages(2));
    const { headers, body } = await within(service.arrived, 'what the bridge sends to the push service');
    assert.match(headers.authorization, /^vapid /);
    const letter = service.open(body);
    assert.equal(letter.jobId, jobId);
    await deliver(page, worker, origin, letter);
    assert.deepEqual(await until(() => shown(worker)), [['pushed.pdf succeeded', letter.notificationId]]);

    await page.goto(here);
    await connected(page);
    await page.locator('[data-testid=bell][data-unread="1"]').waitFor();
    await worker.evaluate(async () => {
      const [notification] = await registration.getNotifications();
      dispatchEvent(new NotificationEvent('notificationclick', { notification }));
    });
    await page.locator(`[data-testid=job-detail][data-job-id="${jobId}"]`).waitFor();
    await page.locator('[data-testid=bell][data-unread="0"]').waitFor();
    assert.deepEqual(await shown(worker), []);
    assert.deepEqual(page.faults, []);
  });

  const put = 'PUT /v1/push/subscriptions 204';
  const ended = 'DELETE /v1/push/subscriptions 204';

  test('is asked for again by the next page, and ends at the switch', async () => {
    const page = await signIn('uma');
    await switchOn(page);
    assert.deepEqual(page.pushRequests, ['GET /v1/push/key 200', put]);
    await page.reload();
    await page.locator('[data-testid=desktop-notifications][data-state=pushed]').waitFor();
    assert.equal(page.pushRequests.filter((each) => each === put).length, 2);
    await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'DELETE'),
      page.getByTestId('desktop-switch').click(),
    ]);
    await page.locator('[data-testid=desktop-notifications][data-state=off]').waitFor();
    assert.equal(page.pushRequests.at(-1), ended);
    assert.deepEqual(page.faults, []);
  });

  test('ends with the session: who comes next at this device hears nothing', async () => {
    const page = await signIn('wes');
    await switchOn(page);
    await page.getByTestId('sign-out').click();
    await page.getByTestId('signin-token').waitFor();
    assert.equal(page.pushRequests.at(-1), ended);
  });
});
