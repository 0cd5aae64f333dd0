// Two browsers of one person at two bridges see each other come and go; somebody else sees nothing of them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startCourant } from './courant.mjs';
import { connected, goTo, leftOut, PATIENCE, shot } from './page.mjs';
import { Bridge } from './up.mjs';

describe('the devices that are connected', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  let beside;
  // Short, so that a device that has left is soon told; a reload on this machine may take its time, and has its own story.
  const courant = startCourant(['--presence-grace', '1s']);

  before(async () => {
    beside = await Bridge.beside(courant.up);
  });

  after(async () => {
    await beside?.kill();
  });

  const open = (page) => page.getByTestId('connection-badge').first().click();
  const devices = (page) => page.getByTestId('devices').getByTestId('device');

  async function shows(page, count) {
    await page.waitForFunction(
      (wanted) => document.querySelectorAll('[data-testid=devices] [data-testid=device]').length === wanted,
      count,
    );
  }

  test('are shown over all bridges, with this one first, as they come and go', async () => {
    const laptop = await courant.signIn('paula');
    const stranger = await courant.signIn('quentin');
    await open(laptop);
    await open(stranger);
    await shows(laptop, 1);
    await shows(stranger, 1);
    assert.equal(await devices(laptop).first().getAttribute('data-current'), 'true');
    assert.match(await devices(laptop).innerText(), /Chrom\w+ on Linux\s*this device/);

    const phone = await courant.signIn('paula', { port: beside.http, userAgent: 'Mozilla/5.0 (Linux; Android 15; K) Firefox/140.0', viewport: { width: 390, height: 844 } });
    await shows(laptop, 2);
    await laptop.getByTestId('devices').getByRole('status').filter({ hasText: 'connected.' }).waitFor();
    await open(phone);
    await shows(phone, 2);
    assert.deepEqual(
      await devices(phone).evaluateAll((all) => all.map((one) => one.dataset.current)),
      ['true', 'false'],
    );
    await shot(laptop, 'devices');
    await shot(phone, 'devices-phone');
    await laptop.emulateMedia({ colorScheme: 'dark' });
    await shot(laptop, 'devices-dark');

    // A second tab is the same device.
    const tab = await laptop.context().newPage();
    await tab.goto(`http://127.0.0.1:${courant.up.http}/`);
    await tab.goto(courant.up.linkFor('paula'));
    await connected(tab);
    await devices(laptop).filter({ hasText: 'this device' }).filter({ hasText: '2 connections' }).waitFor();
    await shows(laptop, 2);
    await tab.close();
    await devices(laptop).filter({ hasText: 'this device' }).filter({ hasNotText: 'connections' }).waitFor();

    // Its bridge is killed: the device is gone, and back with a bridge.
    await beside.kill();
    await shows(laptop, 1);
    await beside.launch();
    await shows(laptop, 2);
    await phone.context().close();
    await shows(laptop, 1);
    await shows(stranger, 1);
    assert.deepEqual([laptop.faults, stranger.faults], [[], []]);
  });

  test('are counted for admins, with every bridge', async () => {
    const admin = await courant.signIn('root', { role: 'admin' });
    const other = await courant.signIn('rosa', { port: beside.http });
    await goTo(admin, '#/admin');
    await admin.getByTestId('bridges').getByTestId('bridge').nth(1).waitFor();
    await admin.getByTestId('bridges').getByText('this page’s').waitFor();
    await shot(admin, 'bridges');
    await admin.setViewportSize({ width: 390, height: 844 });
    await shot(admin, 'bridges-phone');
    await other.context().close();
    await beside.kill();
    await admin.waitForFunction(() => document.querySelectorAll('[data-testid=bridge]').length === 1);
    await beside.launch();
    assert.deepEqual(admin.faults, []);
  });

  test('are those of one bridge while the server is away, which is said, and all again when it is back', async () => {
    const here = await courant.signIn('sara', { port: beside.http });
    const there = await courant.signIn('sara');
    await open(here);
    await shows(here, 2);
    await courant.up.kill();
    await here.getByTestId('devices-incomplete').waitFor();
    await shows(here, 1);
    await courant.up.launch();
    await here.getByTestId('devices-incomplete').waitFor({ state: 'detached' });
    await shows(here, 2);
    assert.deepEqual([here.faults, there.faults], [[], []]);
  });
});
