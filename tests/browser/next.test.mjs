// The example in Next.js: its page comes from the server whole, and is live in the browser.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';

import { leftOut, openBrowser, openPage, PATIENCE } from './page.mjs';
import { pages } from './pdf.mjs';
import { freePort, Up } from './up.mjs';

const app = new URL('../../bridge/web/examples/next/', import.meta.url).pathname;

/** Starts the built app; resolves when it answers. */
async function startApp(port, bridge) {
  if (!existsSync(`${app}.next/BUILD_ID`)) throw new Error('the example was not built; run: make test-browser');
  const program = createRequire(`${app}package.json`).resolve('next/dist/bin/next');
  const env = { ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', COURANT_URL: bridge };
  const child = spawn(process.execPath, [program, 'start', '--hostname', '127.0.0.1', '--port', String(port)], { cwd: app, env, stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8');
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    if (/Ready/.test(text)) break;
  }
  child.stdout.resume();
  if (child.exitCode !== null) throw new Error('the app ended before it was ready');
  return child;
}

describe('the example in Next.js', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  let up;
  let browser;
  let next;
  let origin;

  before(async () => {
    const port = await freePort();
    origin = `http://127.0.0.1:${port}`;
    up = await Up.start('--allow-origin', origin);
    [browser, next] = await Promise.all([openBrowser(), startApp(port, `http://127.0.0.1:${up.http}`)]);
  });

  after(async () => {
    await browser?.close();
    if (next?.kill()) await once(next, 'exit');
    await up?.kill();
  });

  test('is rendered on the server as not connected', async () => {
    const html = await (await fetch(origin)).text();
    assert.match(html, /<h1>Jobs<\/h1>/);
    assert.match(html, /<span role="status">Not connected<\/span>/);
  });

  test('takes over in the browser what the server rendered, and is live', async () => {
    const page = await openPage(browser);
    page.on('console', (message) => {
      if (message.type() === 'error') page.faults.push(message.text());
    });
    const token = up.courant('token', '--sub', 'nel');
    await page.route('**/api/token', (route) => route.fulfill({ body: token }));
    await page.goto(origin);
    await page.locator('[data-courant=connection][data-status=connected]').waitFor();
    await up.submit('nel', 'seen-in-next.pdf', pages(3));
    const job = page.locator('[data-courant=job]').filter({ hasText: 'seen-in-next.pdf' });
    await job.getByRole('progressbar').waitFor();
    await page.locator('[data-courant=job][data-state=succeeded]').waitFor();
    assert.deepEqual(page.faults, []);
  });
});
