// A real Chromium, and the console's handles (`data-testid`, listed in bridge/web/README.md).

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const executablePath = process.env.COURANT_CHROMIUM ?? '/usr/bin/chromium';
const shots = new URL('./shots', import.meta.url).pathname;
/** The longest that anything may take on a slow and busy machine. */
export const PATIENCE = 120_000;

/** Ends a wait that nothing else bounds, and says what was waited for. */
export function within(promise, awaited) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${awaited}: nothing came within ${PATIENCE / 1000} s`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const leftOut = process.env.COURANT_SKIP_BROWSER ? 'left out on purpose (COURANT_SKIP_BROWSER)' : false;

export async function openBrowser() {
  if (!existsSync(executablePath)) {
    throw new Error(
      `there is no ${executablePath}; run: sudo apt-get install chromium; or, to leave these tests out: COURANT_SKIP_BROWSER=1`,
    );
  }
  const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  // Chromium refuses its sandbox to root.
  if (process.getuid?.() === 0) args.push('--no-sandbox');
  return chromium.launch({ executablePath, args });
}

/** A page that fails the test when the console reports an error of its own, or anything leaves our origin. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(`error: ${error.message}`));
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (['http:', 'https:', 'ws:', 'wss:'].includes(protocol) && hostname !== '127.0.0.1') {
      page.faults.push(`left the origin: ${request.url()}`);
    }
  });
  return page;
}

export const connected = (page) => page.locator('[data-testid=connection-badge][data-state=connected]').first().waitFor();

export const card = (page, filename) => page.getByTestId('job-card').filter({ hasText: filename }).first();

export const ended = (page, filename, state = 'succeeded') =>
  page.locator(`[data-testid=job-card][data-state=${state}]`).filter({ hasText: filename }).first().waitFor();

/** Drops files onto the page the way a hand does. */
export async function drop(page, files) {
  const transfer = await page.evaluateHandle((given) => {
    const transfer = new DataTransfer();
    for (const { name, base64 } of given) {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      transfer.items.add(new File([bytes], name, { type: 'application/pdf' }));
    }
    return transfer;
  }, files);
  const zone = page.getByTestId('dropzone');
  await zone.dispatchEvent('dragenter', { dataTransfer: transfer });
  await zone.dispatchEvent('dragover', { dataTransfer: transfer });
  await zone.dispatchEvent('drop', { dataTransfer: transfer });
}

/** A picture of the page for people to look at, in `tests/browser/shots`; only where `COURANT_SHOTS` is set. */
export async function shot(page, name) {
  if (!process.env.COURANT_SHOTS) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

export const pdf = (name, buffer) => ({ name, mimeType: 'application/pdf', buffer });

export const choose = (page, ...files) => page.getByTestId('dropzone-input').setInputFiles(files);

/** Goes to a place of the console, for example `#/queue`. */
export const goTo = (page, hash) => page.evaluate((to) => { location.hash = to; }, hash);
