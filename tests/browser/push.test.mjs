// Web Push on the side of the browser: subscribing, showing what comes while no page is looked at, and where a click leads.
// What a push service would do is done here: it hands out a subscription, and delivers by the debugger.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { card, choose, connected, ended, goTo, leftOut, openBrowser, openPage, PATIENCE, pdf } from './page.mjs';
import { pages } from './pdf.mjs';
import { Up } from './up.mjs';

const publicKey = `B${'A'.repeat(86)}`;
const endpoint = 'https://push.example/send/1';

/** A push service for this page: Chromium's own is not to be asked. */
function service({ key, to }) {
  let subscription = null;
  const bytes = Uint8Array.from(atob(key.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0)).buffer;
  PushManager.prototype.getSubscription = async () => subscription;
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    globalThis.asked = applicationServerKey;
    subscription = {
      endpoint: to,
      options: { applicationServerKey: bytes },
      toJSON: () => ({ endpoint: to, expirationTime: null, keys: { p256dh: 'p', auth: 'a' } }),
      unsubscribe: async () => { subscription = null; return true; },
    };
    return subscription;
  };
}

describe('Web Push', { skip: leftOut, timeout: 10 * PATIENCE }, () => {
  let up;
  let browser;

  before(async () => {
    [up, browser] = await Promise.all([Up.start(), openBrowser()]);
  });

  after(async () => {
    await browser?.close();
    await up?.kill();
  });

  /** A page that is told of a key, and what it asked the bridge for. */
  async function as(user) {
    const page = await openPage(browser, { permissions: ['notifications'] });
    page.told = [];
    await page.route('**/v1/push/**', async (route) => {
      const request = route.request();
      if (request.method() === 'GET') return route.fulfill({ json: { publicKey } });
      page.told.push([request.method(), request.postDataJSON()]);
      return route.fulfill({ status: 204 });
    });
    await page.addInitScript(service, { key: publicKey, to: endpoint });
    await page.goto(up.linkFor(user));
    await connected(page);
    return page;
  }

  async function switchOn(page) {
    await goTo(page, '#/notifications');
    await page.getByTestId('desktop-switch').click();
    await page.locator('[data-testid=desktop-notices][data-state=pushed]').waitFor();
  }

  const worker = async (page) => page.context().serviceWorkers()[0] ?? page.context().waitForEvent('serviceworker');

  /** Hands a notice to the service worker, as a push service would; resolves when it has looked who is there. */
  async function deliver(page, running, origin, notice) {
    await running.evaluate(() => {
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
    await debug.send('ServiceWorker.deliverPushMessage', { origin, registrationId: await known, data: JSON.stringify(notice) });
    await running.evaluate(() => globalThis.looked);
    await debug.detach();
  }

  const shown = (running) =>
    running.evaluate(async () => (await registration.getNotifications()).map(({ title, body, tag }) => [title, body, tag]));

  async function until(look) {
    for (;;) {
      const found = await look();
      if (found.length > 0) return found;
    }
  }

  test('is subscribed to with the key of the bridge, said again by the next page, and ended at the switch', async () => {
    const page = await as('uma');
    await switchOn(page);
    assert.equal(await page.evaluate(() => globalThis.asked), publicKey);
    const put = ['PUT', { endpoint, expirationTime: null, keys: { p256dh: 'p', auth: 'a' } }];
    assert.deepEqual(page.told, [put]);
    await page.reload();
    await page.locator('[data-testid=desktop-notices][data-state=pushed]').waitFor();
    assert.deepEqual(page.told, [put, put]);
    await page.getByTestId('desktop-switch').click();
    await page.locator('[data-testid=desktop-notices][data-state=off]').waitFor();
    assert.deepEqual(page.told.at(-1), ['DELETE', { endpoint }]);
    assert.deepEqual(page.faults, []);
  });

  test('shows a notice when no page is open, none while one looks, and a click opens the job', async () => {
    const page = await as('vic');
    await choose(page, pdf('pushed.pdf', pages(1)));
    await ended(page, 'pushed.pdf');
    const jobId = await card(page, 'pushed.pdf').getAttribute('data-job-id');
    await page.locator('[data-testid=bell][data-unread="1"]').waitFor();
    const [{ id }] = await up.notices('vic');
    await switchOn(page);
    const running = await worker(page);
    const here = page.url();
    const { origin } = new URL(here);
    const notice = { notificationId: id, kind: 'job-succeeded', severity: 'success', title: 'pushed.pdf is ready', body: '1 page', jobId };

    await deliver(page, running, origin, { ...notice, notificationId: 'seen', title: 'Looked at: the page tells by itself' });
    await page.goto('about:blank');
    await deliver(page, running, origin, notice);
    assert.deepEqual(await until(() => shown(running)), [['pushed.pdf is ready', '1 page', id]]);

    await page.goto(here);
    await connected(page);
    await running.evaluate(async () => {
      const [notification] = await registration.getNotifications();
      dispatchEvent(new NotificationEvent('notificationclick', { notification }));
    });
    await page.locator(`[data-testid=job-detail][data-job-id="${jobId}"]`).waitFor();
    await page.locator('[data-testid=bell][data-unread="0"]').waitFor();
    assert.deepEqual(await shown(running), []);
    assert.deepEqual(page.faults, []);
  });

  test('ends with the session: who comes next at this device hears nothing', async () => {
    const page = await as('wes');
    await switchOn(page);
    await page.getByTestId('sign-out').click();
    await page.getByTestId('signin-token').waitFor();
    assert.deepEqual(page.told.at(-1), ['DELETE', { endpoint }]);
  });
});
