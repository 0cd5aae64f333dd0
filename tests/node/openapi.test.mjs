// Types that openapi-typescript makes of the OpenAPI document, used with openapi-fetch: checked by the compiler, then run.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { fixture, Up } from '../browser/up.mjs';

const root = new URL('../..', import.meta.url).pathname;
const tool = (name) => join(root, 'tests/node_modules/.bin', name);
const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--target', 'es2023', '--module', 'nodenext'];
let up;
let folder;

before(async () => {
  up = await Up.start();
  folder = mkdtempSync(join(tmpdir(), 'courant-openapi-'));
  symlinkSync(join(root, 'tests/node_modules'), join(folder, 'node_modules'));
  execFileSync(tool('openapi-typescript'), [join(root, 'bridge/schema/openapi.json'), '--output', join(folder, 'courant.d.ts')]);
});
after(async () => {
  await up.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** Compiles a program against the generated types; what the compiler says of it. */
function compile(program) {
  copyFileSync(new URL(program, import.meta.url), join(folder, program));
  const { stdout } = spawnSync(tool('tsc'), [...strict, program], { cwd: folder, encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line.startsWith(program));
}

test('a typed client submits a document, follows the job and reads its result', async () => {
  assert.deepEqual(compile('openapi-client.mts'), []);
  const { convert } = await import(join(folder, 'openapi-client.mjs'));
  const document = new Blob([readFileSync(fixture('cc-by-sa-4.0/two-columns.pdf'))]);
  const text = await convert(`http://127.0.0.1:${up.http}`, up.courant('token', '--sub', 'alice'), document);
  assert.match(text, /Two-Column Document/);
});

test('the types refuse what the bridge refuses', () => {
  assert.equal(compile('openapi-mistakes.mts').length, 4);
});
