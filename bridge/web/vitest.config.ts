import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['source', 'module', 'node', 'development|production'] },
  test: {
    include: ['packages/*/test/**/*.test.{ts,tsx}', 'console/test/**/*.test.{ts,tsx}'],
    restoreMocks: true,
  },
});
