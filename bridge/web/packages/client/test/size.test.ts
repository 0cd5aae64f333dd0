import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';
import { expect, it } from 'vitest';

/** What a page loads for the client alone, in bytes after gzip. */
const budget = 10_000;
/** What it loads besides when no WebSocket gets through. */
const fallbackBudget = 3_000;

it('stays small, and brings the fallbacks only when they are needed', async () => {
  const bundle = (await build({
    root: new URL('..', import.meta.url).pathname,
    logLevel: 'silent',
    configFile: false,
    build: {
      write: false,
      modulePreload: false,
      rolldownOptions: { input: 'src/index.ts', preserveEntrySignatures: 'strict' },
    },
  })) as Rolldown.RolldownOutput;
  const sizes = { entry: 0, rest: 0 };
  for (const chunk of bundle.output) {
    if (chunk.type === 'chunk') sizes[chunk.isEntry ? 'entry' : 'rest'] += gzipSync(chunk.code).length;
  }
  expect(sizes.entry).toBeGreaterThan(1000);
  expect(sizes.entry).toBeLessThan(budget);
  expect(sizes.rest).toBeGreaterThan(500);
  expect(sizes.rest).toBeLessThan(fallbackBudget);
});
