/** Every example the protocol document gives for the server must be read by this client. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { jobAndCursor } from '../src/calls.ts';
import { decode } from '../src/decode.ts';
import { zone } from './harness.ts';

const document = readFileSync(new URL('../../../../PROTOCOL.md', import.meta.url), 'utf8');

function examples(kind: string): string[] {
  return [...document.matchAll(new RegExp(`\`\`\`json ${kind}\\n(.*?)\\n\`\`\``, 'gs'))].map(
    (match) => match[1] ?? '',
  );
}

describe('the protocol document', () => {
  const server = examples('server');

  it('has examples', () => {
    expect(server.length).toBeGreaterThan(15);
  });

  it.each(server)('%s', (example) => {
    const { type } = JSON.parse(example) as { type: string };
    expect(decode(example)).toMatchObject({ kind: 'message', message: { type } });
  });

  it.each(examples('submitted'))('an answer to a submit: %s', (example) => {
    expect(jobAndCursor(example)).toMatchObject({ job: { jobId: expect.any(String) }, cursor: 'Y3Vyc29y' });
  });

  it('reads every kind of job message', () => {
    const table = [...document.matchAll(/^\| `([a-z-]+)` \| (durable|transient)/gm)].map(
      (match) => [match[1] ?? '', match[2] as 'durable' | 'transient'] as const,
    );
    expect(table.length).toBeGreaterThan(14);
    const exampleOf = (type: string) =>
      JSON.parse(server.find((example) => example.includes(`"type":"${type}"`)) ?? '{}') as object;
    const bases = { durable: exampleOf('job-started'), transient: exampleOf('job-progress') };
    const parts = {
      ...{ zone: { ...zone(1, 1), note: null }, currentZone: { ...zone(1, 1), note: null } },
      page: { number: 1, width: 1, height: 1, zoneCount: 0, durationMs: 1, warnings: [] },
      export: {
        format: 'md',
        state: 'started',
        progress: 0,
        sizeBytes: null,
        sha256: null,
        url: null,
        error: null,
      },
      output: { name: 'w.csv', mediaType: 'text/csv', sizeBytes: 1, sha256: 'ab', attempt: 1, url: '/u' },
    };
    for (const [type, kind] of table) {
      const message = JSON.stringify({ ...bases[kind], ...parts, type });
      expect(decode(message), type).toMatchObject({ kind: 'message', message: { type } });
    }
  });

  it.each(['zone-processing', 'export-progress', 'page-completed', 'export-completed', 'output-stored'])(
    'gives out no %s without what it is about',
    (type) => {
      const base = server.find((example) =>
        example.includes(/progress|processing/.test(type) ? '"job-progress"' : '"job-started"'),
      );
      expect(decode(JSON.stringify({ ...JSON.parse(base ?? '{}'), type }))).toMatchObject({ kind: 'broken' });
    },
  );
});
