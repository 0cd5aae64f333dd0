import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';
import { expect, it } from 'vitest';

/** What a page loads for the client before anything happens, in bytes after gzip. */
const budget = 10_000;
/** What it loads when it connects (messages, packed ones) and later (HTTP calls, loops, when no WebSocket gets through). */
const laterBudget = 16_000;

async function sizeOf(input: string): Promise<number> {
  const bundle = (await build({
    root: new URL('..', import.meta.url).pathname,
    logLevel: 'silent',
    configFile: false,
    plugins: [
      {
        name: 'later',
        enforce: 'pre',
        resolveDynamicImport: (source) => ({ id: String(source), external: true }),
      },
    ],
    build: {
      write: false,
      modulePreload: false,
      rolldownOptions: { input, preserveEntrySignatures: 'strict' },
    },
  })) as Rolldown.RolldownOutput;
  const chunks = bundle.output.filter((chunk) => chunk.type === 'chunk');
  // All that is needed at once lies in one file, nothing hides in a second.
  expect(chunks).toHaveLength(1);
  return gzipSync(chunks[0]?.code ?? '').length;
}

it('stays small', async () => {
  const size = await sizeOf('src/index.ts');
  expect(size).toBeGreaterThan(1000);
  expect(size).toBeLessThan(budget);
});

it('brings the rest only when it is needed, and that is small as well', async () => {
  const later = ['decode', 'packed-socket', 'http-socket', 'calls', 'upload', 'iterate'].map((name) =>
    sizeOf(`src/${name}.ts`),
  );
  const sizes = await Promise.all(later);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(laterBudget);
});
