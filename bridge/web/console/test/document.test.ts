import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readDocument, readPage } from '../src/detail/document.ts';

describe('the JSON result', () => {
  it('is read as the PDF worker stores its pages', () => {
    const stored = new URL('../../../../crates/pdf/tests/data/page-v1.json', import.meta.url);
    const page = JSON.parse(readFileSync(stored, 'utf8')) as { zones: unknown[] };
    const pages = readDocument(JSON.stringify({ version: 1, pages: [page] }));
    expect(pages).toHaveLength(1);
    expect(pages?.[0]?.view).toMatchObject({ number: 3, zoneCount: page.zones.length });
    expect(pages?.[0]?.blocks[1]?.rows[0]?.[1]).toEqual({ text: 'b', colspan: 2, rowspan: 1 });
    expect(pages?.[0]?.view.zones[0]?.boundingBox).not.toBeNull();
    expect(readPage(JSON.stringify(page))).toEqual(pages?.[0]);
  });

  it('does without what it cannot understand', () => {
    const zones = [null, 7, { id: 'z', kind: 'hologram', rows: [null, [{ text: 'a', colspan: 1e9 }]] }];
    const pages = readDocument(JSON.stringify({ pages: [{ number: 1, zones }, 'x'] }));
    expect(pages).toHaveLength(1);
    expect(pages?.[0]?.blocks).toMatchObject([{ id: 'z', kind: 'unknown' }]);
    expect(pages?.[0]?.blocks[0]?.rows.at(-1)?.[0]?.colspan).toBe(1000);
  });

  it.each(['', '[]', '{}', 'null', '{"pages":{}}'])('is nothing when it is %j', (json) => {
    expect(readDocument(json)).toBeNull();
    expect(readPage(json)).toBeNull();
  });
});
