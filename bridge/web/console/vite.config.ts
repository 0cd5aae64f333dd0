import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const bridge = process.env['COURANT_BRIDGE'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  // The packages of this workspace are read as source: no build of theirs is needed first.
  resolve: { conditions: ['source', 'module', 'browser', 'development|production'] },
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: ['chrome123', 'firefox128', 'safari17.5'],
    // The content policy of the bridge allows files only: nothing inline, nothing as data:.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/v1': bridge, '/ws': { target: bridge, ws: true } } },
});
