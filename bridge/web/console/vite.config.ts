import { cpSync, existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const bridge = process.env['COURANT_BRIDGE'] ?? 'http://127.0.0.1:8080';

/** What pdf.js reads when a document needs it: character maps, stand-ins for fonts, a decoder. Served at `/pdf`. */
function pdfData(): Plugin {
  const from = dirname(dirname(fileURLToPath(import.meta.resolve('pdfjs-dist'))));
  const parts = [
    { folder: 'cmaps', as: 'cmaps', take: (name: string) => name.endsWith('.bcmap') },
    // The others have a licence of their own kind; the system's fonts stand in for them.
    { folder: 'standard_fonts', as: 'fonts', take: (name: string) => /foxit/i.test(name) },
    { folder: 'wasm', as: 'decoders', take: (name: string) => /nowasm|_OPENJPEG$/.test(name) },
  ];
  return {
    name: 'pdf-data',
    apply: 'build',
    writeBundle({ dir }) {
      for (const { folder, as, take } of parts) {
        const source = join(from, folder);
        if (dir === undefined || !existsSync(source)) throw new Error(`pdfjs-dist has no ${folder}`);
        for (const name of readdirSync(source).filter(take))
          cpSync(join(source, name), join(dir, 'pdf', as, name));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), pdfData()],
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
