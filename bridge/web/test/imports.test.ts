/** Imports run one way: no cycles, client <- react <- console, and within the client upwards through its layers. */
import { describe, expect, it } from 'vitest';
import { cycleIn, graphOf, importsOf, sourcesIn, wrongDirections } from './imports.ts';

const folder = (path: string): URL => new URL(`../${path}/src/`, import.meta.url);
const parts = {
  'packages/client': [],
  'packages/react': ['@courant/client'],
  console: ['@courant/client', '@courant/react'],
};

/** The modules of the client, from the lowest layer. A module may import its own layer and those below. */
const layers = [
  // What goes over the wire.
  ['wire.generated', 'read', 'readers.generated', 'types', 'service-types', 'messages', 'decode'],
  // What needs no connection.
  [
    'browser-device',
    'checked',
    'credentials',
    'cursors',
    'delay-queue',
    'errors',
    'event-stream',
    'job-view',
    'msgpack',
    'network',
    'rate-limiter',
    'request-id',
    'retry',
    'state',
    'store',
    'timer',
    'topics',
  ],
  // One connection.
  [
    'connection',
    'heartbeat',
    'http-socket',
    'packed-socket',
    'socket',
    'transport',
    'transport-fallback',
    'upgrade-probe',
  ],
  // Topics and calls.
  ['calls', 'commands', 'http', 'resumable', 'retry-online', 'subscriptions', 'transfer', 'upload'],
  // What users of the package hold.
  ['client', 'index', 'iterate', 'options', 'requests', 'service', 'webhooks'],
].map((modules) => modules.map((name) => `${name}.ts`));

describe('imports', () => {
  it.each(Object.keys(parts))('have no cycle in %s', (part) => {
    const files = sourcesIn(folder(part));
    expect(files.size).toBeGreaterThan(5);
    expect(cycleIn(graphOf(files))).toBeNull();
  });

  it.each(Object.entries(parts))('of %s are of its own files and %j', (part, allowed) => {
    for (const [file, imported] of graphOf(sourcesIn(folder(part)))) {
      const ours = imported.filter((name) => name.startsWith('@courant/') || name.startsWith('..'));
      const wrong = ours.filter((name) => !allowed.some((one) => name === one || name.startsWith(`${one}/`)));
      expect(wrong, file).toEqual([]);
    }
  });

  it('of the client run upwards through its layers', () => {
    expect(wrongDirections(graphOf(sourcesIn(folder('packages/client'))), layers)).toEqual([]);
  });
});

describe('the check', () => {
  const graph = (files: Record<string, string>) => graphOf(new Map(Object.entries(files)));

  it('reads imports of all forms', () => {
    const source = `
      import a from './a.ts';
      import type { B } from "./b.ts";
      import {
        c,
        type C,
      } from './c.ts';
      export * from './d.ts';
      import './e.ts';
      // import f from './f.ts';
      /* import g from './g.ts'; */
      const later = () => import('./h.ts');
      export const text = 'from nowhere';
    `;
    expect(importsOf(source)).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts']);
  });

  it('finds a planted cycle, also of types and over folders', () => {
    const files = {
      'a.ts': "import { b } from './sub/b.ts';",
      'sub/b.ts': "import type { C } from '../c.ts';",
      'c.ts': "export { a } from './a.ts';",
    };
    expect(cycleIn(graph(files))).toEqual(['a.ts', 'sub/b.ts', 'c.ts', 'a.ts']);
    expect(cycleIn(graph({ 'a.ts': "import './a.ts';" }))).toEqual(['a.ts', 'a.ts']);
    expect(cycleIn(graph({ ...files, 'c.ts': '' }))).toBeNull();
  });

  it('finds a planted import of a higher layer, and a module without one', () => {
    const files = { 'decode.ts': "import './connection.ts';", 'connection.ts': '', 'new.ts': '' };
    expect(wrongDirections(graph(files), [['decode.ts'], ['connection.ts']])).toEqual([
      'decode.ts imports connection.ts',
      'new.ts is in no layer',
    ]);
  });
});
