import { describe, expect, it } from 'vitest';
import { job } from '../../packages/client/test/harness.ts';
import { tabsOf } from '../src/detail/result-tabs.ts';
import { decodeText, mediaTypeName, previewKind } from '../src/outputs/media-type.ts';
import { mostColumns, mostRows, readTable } from '../src/outputs/table.ts';
import { indentJson } from '../src/ui/json.ts';

const output = { attempt: 1, mediaType: 'text/csv', name: 'a.csv', sha256: '', sizeBytes: 1, url: '' };

describe('the preview of an output', () => {
  it('is chosen by the media type without its parameters', () => {
    const types = [
      'image/PNG',
      'image/svg+xml',
      'text/csv; charset=utf-8',
      'text/markdown',
      'application/ld+json',
    ];
    expect(types.map(previewKind)).toEqual(['image', 'image', 'table', 'markdown', 'json']);
    expect(['text/html', 'text/x-log'].map(previewKind)).toEqual(['text', 'text']);
    expect(['application/octet-stream', 'image/tiff', 'application/pdf', ''].map(previewKind)).toEqual(
      Array(4).fill(null),
    );
  });

  it('names types in words, and those without words as they are', () => {
    const types = ['text/csv; charset=utf-8', 'application/x-custom', ' '];
    expect(types.map(mediaTypeName)).toEqual(['CSV table', 'application/x-custom', 'Unknown type']);
  });

  it('decodes text by its charset, and leaves out a character that was cut', () => {
    const utf8 = new TextEncoder().encode('aé');
    expect(decodeText(utf8.slice(0, 2).buffer, 'text/plain')).toBe('a');
    expect(decodeText(new Uint8Array([0xe9]).buffer, 'text/plain; charset="iso-8859-1"')).toBe('é');
    expect(decodeText(utf8.buffer, 'text/plain; charset=nonsense')).toBe('aé');
  });
});

describe('JSON', () => {
  it('is indented, unless that would change it', () => {
    expect(indentJson('{"a":[1]}')).toBe('{\n  "a": [\n    1\n  ]\n}');
    expect(['{"a":', '{"id":9007199254740993}'].map(indentJson)).toEqual([
      '{"a":',
      '{"id":9007199254740993}',
    ]);
  });
});

describe('a table', () => {
  it('is read with quotes, line breaks in fields, and any end of line', () => {
    const { rows, cut } = readTable('\ufeffa,"b ""x"", c"\r\n"1\n2",\n,3', ',');
    expect(rows).toEqual([
      ['a', 'b "x", c'],
      ['1\n2', ''],
      ['', '3'],
    ]);
    expect(cut).toBe(false);
    expect(readTable('a\tb,c', '\t').rows).toEqual([['a', 'b,c']]);
    expect(readTable('', ',').rows).toEqual([]);
    expect(readTable('"never closed', ',').rows).toEqual([['never closed']]);
  });

  it('knows columns of numbers below their heading', () => {
    const text = 'n,share,name,none\n-1.5,20 %,x,\n"1,000",3e5,2,';
    expect(readTable(text, ',').numeric).toEqual([true, true, false, false]);
  });

  it('shows the first rows and columns only, and no row that was cut', () => {
    const many = readTable('1,2\n'.repeat(mostRows + 1), ',');
    expect([many.rows.length, many.cut]).toEqual([mostRows, true]);
    const exact = readTable('1,2\n'.repeat(mostRows), ',');
    expect([exact.rows.length, exact.cut]).toEqual([mostRows, false]);
    expect(readTable(',\u0020'.repeat(500), ',').rows[0]).toHaveLength(mostColumns);
    expect(readTable('a,b\n1,2\n3', ',', true).rows).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ]);
  });
});

describe('the tabs of a job', () => {
  const none = { state: 'none' } as const;

  it('begin with the pages of a PDF, and end with outputs once there are some', () => {
    expect(tabsOf(job({ kind: 'pdf' }), none)).toEqual(['pages']);
    expect(tabsOf(job({ kind: 'pdf', outputs: [output] }), none)).toEqual(['pages', 'outputs']);
  });

  it('begin with the outputs of other work, unless it has pages', () => {
    const words = { kind: 'words', pagesTotal: null, pagesDone: 0 };
    expect(tabsOf(job({ ...words, outputs: [output] }), none)).toEqual(['outputs']);
    expect(tabsOf(job({ ...words, outputs: [] }), none)).toEqual(['outputs']);
    expect(tabsOf(job({ kind: 'words', pagesTotal: 2, outputs: [output] }), none)[0]).toBe('pages');
  });
});
