// A page follows a job at the server itself, without the bridge: by Connect's client, which nobody here wrote, over gRPC-Web.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { leftOut, openBrowser, openPage, PATIENCE } from './page.mjs';
import { pages } from './pdf.mjs';
import { Up } from './up.mjs';

const root = new URL('../..', import.meta.url).pathname;
const tool = (name) => join(root, 'tests/node_modules/.bin', name);

/** What the README shows, with this address, as one file for a page; what the page has to say comes from `window`. */
function bundle(folder, address) {
  const shown = readFileSync(join(root, 'README.md'), 'utf8').match(/```js connect-web\n(.*?)```/s)[1];
  const template = { version: 'v2', plugins: [{ local: tool('protoc-gen-es'), out: join(folder, 'gen'), opt: ['target=js', 'import_extension=js'] }] };
  execFileSync(tool('buf'), ['generate', '--template', JSON.stringify(template), join(root, 'proto')]);
  symlinkSync(join(root, 'tests/node_modules'), join(folder, 'node_modules'));
  const [imports, body] = [shown.match(/^import .*$/gm).join('\n'), shown.replace(/^import .*$/gm, '')];
  const follow = `${imports}\nwindow.follow = async (token, jobId, show) => {${body.replace('127.0.0.1:50051', address)}};`;
  const read = `window.read = async (token, jobId) => {${body.replace('127.0.0.1:50051', address).replace(/for await .*/s, 'return jobs.getJob({ jobId });')}};`;
  writeFileSync(join(folder, 'entry.js'), `${follow}\n${read}`);
  execFileSync(tool('esbuild'), ['entry.js', '--bundle', '--format=esm', '--outfile=page.js', '--log-level=error'], { cwd: folder });
  return readFileSync(join(folder, 'page.js'));
}

/** An application of somebody else, on an origin of its own. */
async function serve(script) {
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script() : '<!doctype html><title>app</title><script type="module" src="/page.js"></script>');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const originOf = (server) => `http://127.0.0.1:${server.address().port}`;

describe('gRPC-Web', { skip: leftOut, timeout: 5 * PATIENCE }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'courant-grpc-web-'));
  let [up, browser, app, foreign, script] = [];

  before(async () => {
    [app, foreign] = [await serve(() => script), await serve(() => script)];
    [up, browser] = await Promise.all([Up.start('--allow-origin', originOf(app)), openBrowser()]);
    script = bundle(folder, `127.0.0.1:${up.grpc}`);
  });
  after(async () => {
    await browser?.close();
    await up?.kill();
    app?.close();
    foreign?.close();
    rmSync(folder, { recursive: true });
  });

  const open = async (server) => {
    const page = await openPage(browser);
    await page.goto(originOf(server));
    await page.waitForFunction(() => window.follow);
    return page;
  };

  test('a page follows WatchJob live, from the snapshot to the end', async () => {
    const page = await open(app);
    const token = up.courant('token', '--sub', 'alice');
    // So long that it is under way when the page begins to follow it.
    const job = await up.submit('alice', 'long.pdf', pages(3000));
    const { steps, duringWatch } = await page.evaluate(
      async ([token, job]) => {
        const steps = [];
        let duringWatch;
        await window.follow(token, job, (step) => {
          steps.push(step.case === 'event' ? step.value.change.case : step.case);
          // What comes while the job is not at its end came as it happened.
          if (step.case === 'event' && step.value.change.case === 'pageFinished') duringWatch ??= window.read(token, job).then(({ job }) => job.endTime);
        });
        return { steps, duringWatch: String(await duringWatch) };
      },
      [token, job],
    );
    assert.equal(steps[0], 'snapshot');
    assert.ok(steps.includes('live') && steps.filter((step) => step === 'pageFinished').length > 1, steps.join(' '));
    assert.equal(steps.at(-1), 'succeeded');
    assert.equal(duringWatch, 'undefined', 'the first page was shown after the end of the job');
    assert.deepEqual(page.faults, []);
  });

  test('an error has its code and its reason', async () => {
    const page = await open(app);
    const token = up.courant('token', '--sub', 'alice');
    const refused = await page.evaluate(async (token) => {
      try {
        await window.read(token, '01ARZ3NDEKTSV4RRFFQ69G5FAV');
      } catch (error) {
        return { code: error.code, message: error.rawMessage, details: error.details.length };
      }
    }, token);
    assert.equal(refused.code, 5);
    assert.match(refused.message, /no such job|there is no job/i);
    assert.ok(refused.details >= 1);
  });

  test('a page of another origin is not let in', async () => {
    const page = await open(foreign);
    const token = up.courant('token', '--sub', 'alice');
    const refused = await page.evaluate((token) => window.read(token, 'x').then(() => 'read', (error) => error.rawMessage), token);
    assert.match(refused, /failed to fetch/i);
  });

  test('without origins the port speaks HTTP/2 alone', async () => {
    const plain = await Up.start();
    const answer = async (port) => {
      const socket = connect(port, '127.0.0.1');
      socket.write('POST /courant.v1.JobService/GetJob HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      let text = '';
      socket.on('data', (data) => (text += data));
      socket.on('error', () => {});
      await new Promise((closed) => socket.on('close', closed));
      return text;
    };
    try {
      assert.equal(await answer(plain.grpc), '');
      assert.match(await answer(up.grpc), /^HTTP\/1\.1 200/);
    } finally {
      await plain.kill();
    }
  });
});
