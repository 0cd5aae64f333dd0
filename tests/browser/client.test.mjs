// `@courant/client` by itself: in Node, and in a web worker of a real Chromium, against a real `courant up`.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { leftOut, openBrowser, openPage, PATIENCE } from './page.mjs';
import { pages } from './pdf.mjs';
import { Proxy } from './proxy.mjs';
import { Up } from './up.mjs';

const web = new URL('../../bridge/web/', import.meta.url).pathname;

/** The package as one file, as an application's bundler would make it. */
async function bundle(folder) {
  const vite = createRequire(join(web, 'package.json')).resolve('vite');
  const { build } = await import(pathToFileURL(vite).href);
  await build({
    root: join(web, 'packages/client'),
    logLevel: 'silent',
    configFile: false,
    build: {
      outDir: folder,
      minify: false,
      modulePreload: false,
      lib: { entry: 'src/index.ts', formats: ['es'], fileName: 'client' },
      rolldownOptions: { output: { codeSplitting: false } },
    },
  });
  return join(folder, 'client.js');
}

describe('the client', { timeout: 5 * PATIENCE }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'courant-client-'));
  let up;
  let file;

  before(async () => {
    [up, file] = await Promise.all([Up.start(), bundle(folder)]);
  });

  after(async () => {
    await up?.kill();
    rmSync(folder, { recursive: true });
  });

  test('in Node submits, follows to the end, and goes on at its cursor in the next process', async () => {
    const { CourantClient } = await import(pathToFileURL(file).href);
    const token = up.courant('token', '--sub', 'nora');
    const kept = new Map();
    const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
    const start = (options) => new CourantClient({ url: `http://127.0.0.1:${up.http}`, token: () => token, storage, ...options });

    const client = start({ transports: ['sse', 'polling'] });
    client.watch('mine');
    client.connect();
    const { job } = await client.submit(new Blob([pages(40)]), { name: 'from-node.pdf' });
    const seen = [];
    for await (const view of client.follow(job.jobId, { minIntervalMs: 0 })) seen.push(view.job.progress);
    assert.equal(client.jobs.get(job.jobId).job.state, 'succeeded');
    assert.equal(client.connection.transport, 'sse');
    assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
    assert.match(await client.resultText(job.jobId, 'txt'), /This is page 40\./);
    client.close();

    // While nobody listened, something happened.
    const other = start({ storage: undefined });
    const later = await other.submit(new Blob([pages(2)]), { name: 'while-away.pdf' });
    other.connect();
    await other.finished(later.job.jobId);
    other.close();

    const again = start();
    again.connect();
    const heard = [];
    for await (const event of again.events('mine')) {
      heard.push(`${event.job?.filename ?? ''} ${event.type}`);
      if (event.type === 'job-completed') break;
    }
    again.close();
    assert.equal(heard[0], 'while-away.pdf job-queued');
    assert.ok(!heard.some((each) => each.includes('from-node.pdf')), String(heard));
  });

  test('in a web worker it is live as well', { skip: leftOut }, async () => {
    const [browser, proxy] = [await openBrowser(), await Proxy.to(up.http)];
    try {
      const page = await openPage(browser);
      const code = `${readFileSync(file, 'utf8').replace(/export \{[\s\S]*?\};?\s*$/, '')}
        onmessage = async ({ data: { token, bytes } }) => {
          const client = new CourantClient({ url: location.origin, token: () => token });
          client.connect();
          const { job } = await client.submit(new Blob([bytes]), { name: 'from-worker.pdf' });
          const { state } = await client.finished(job.jobId);
          postMessage({ state, transport: client.connection.transport });
        };
        addEventListener('unhandledrejection', ({ reason }) => postMessage({ failed: String(reason) }));`;
      proxy.scripts.set('/worker-under-test.js', code);
      await page.goto(`http://127.0.0.1:${proxy.port}/`);
      const token = up.courant('token', '--sub', 'wim');
      const said = await page.evaluate(
        ([token, text]) =>
          new Promise((resolve, reject) => {
            const worker = new Worker('/worker-under-test.js', { type: 'module' });
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = ({ message }) => reject(new Error(message));
            worker.postMessage({ token, bytes: Uint8Array.from(text, (c) => c.charCodeAt(0)) });
          }),
        [token, pages(5).toString('latin1')],
      );
      assert.deepEqual(said, { state: 'succeeded', transport: 'websocket' });
    } finally {
      await browser.close();
      proxy.close();
    }
  });
});
