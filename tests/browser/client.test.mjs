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

  /** What a web worker says that runs `code` beside the client, given `data`. */
  async function inWorker(t, code, data) {
    const [browser, proxy] = [await openBrowser(), await Proxy.to(up.http)];
    t.after(() => Promise.all([browser.close(), proxy.close()]));
    const page = await openPage(browser);
    const client = readFileSync(file, 'utf8').replace(/export \{[\s\S]*?\};?\s*$/, '');
    const failed = "addEventListener('unhandledrejection', ({ reason }) => postMessage({ failed: String(reason) }));";
    proxy.scripts.set('/worker-under-test.js', `${client}\n${failed}\nonmessage = async ({ data }) => {${code}};`);
    await page.goto(`http://127.0.0.1:${proxy.port}/`);
    return page.evaluate(
      (given) =>
        new Promise((resolve, reject) => {
          const worker = new Worker('/worker-under-test.js', { type: 'module' });
          worker.onmessage = ({ data: said }) => resolve(said);
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage(given);
        }),
      data,
    );
  }

  test('in a web worker it is live as well', { skip: leftOut }, async (t) => {
    const code = `
      const client = new CourantClient({ url: location.origin, token: () => data.token });
      client.connect();
      const { job } = await client.submit(new Blob([Uint8Array.from(data.text, (c) => c.charCodeAt(0))]), { name: 'from-worker.pdf' });
      const { state } = await client.finished(job.jobId);
      postMessage({ state, transport: client.connection.transport });`;
    const data = { token: up.courant('token', '--sub', 'wim'), text: pages(5).toString('latin1') };
    assert.deepEqual(await inWorker(t, code, data), { state: 'succeeded', transport: 'websocket' });
  });

  test('the token is renewed in mid-job on the connection there is', { skip: leftOut }, async (t) => {
    const code = `
      const tokens = [...data.tokens];
      const client = new CourantClient({ url: location.origin, token: () => (tokens.length > 1 ? tokens.shift() : tokens[0]) });
      const seen = [];
      client.onConnection(() => {
        const { status, connectionId, tokenExpiresAt } = client.connection;
        if (status === 'connected' && seen.at(-1)?.tokenExpiresAt !== tokenExpiresAt) seen.push({ connectionId, tokenExpiresAt });
        if (status !== 'connected' && status !== 'connecting') seen.push({ status });
        if (seen.length > 1) renewed();
      });
      let renewed;
      const waited = new Promise((resolve) => { renewed = resolve; });
      client.connect();
      const [{ state }] = await Promise.all([client.finished(data.jobId), waited]);
      postMessage({ state, seen });`;
    const tokens = ['6s', '1h'].map((ttl) => up.courant('token', '--sub', 'tess', '--ttl', ttl));
    const { state, seen } = await inWorker(t, code, { tokens, jobId: await up.submit('tess', 'renewed.pdf', pages(300)) });
    assert.equal(state, 'succeeded');
    assert.equal(seen.length, 2, JSON.stringify(seen));
    assert.equal(seen[0].connectionId, seen[1].connectionId);
    assert.ok(seen[0].tokenExpiresAt < seen[1].tokenExpiresAt);
  });
});
