import { defineConfig } from 'vitest/config';

// The packages of this workspace are read as source: no build of theirs is needed first.
const conditions = ['source', 'module', 'node', 'development|production'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['test/**/*.test.ts', 'packages/*/test/**/*.test.{ts,tsx}', 'console/test/**/*.test.{ts,tsx}'],
    restoreMocks: true,
    // For machines that are busy; no test waits for time that passes.
    testTimeout: 30_000,
  },
});
