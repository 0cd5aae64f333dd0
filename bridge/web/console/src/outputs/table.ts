/** The first rows of a table as text (RFC 4180). */

export interface TextTable {
  readonly rows: readonly (readonly string[])[];
  /** Whether there are more rows than these. */
  readonly cut: boolean;
  /** By column: whether all below the first row are numbers. */
  readonly numeric: readonly boolean[];
}

/** Rows of a preview. */
export const mostRows = 200;
/** Columns of a preview; what lies beyond is left out. */
export const mostColumns = 100;

const number = /^[+-]?(\d[\d,. \u00a0\u202f]*|\.\d+)(e[+-]?\d+)?\s*%?$/i;

/** `partial`: the text was cut, so that its last line may be no whole row. */
export function readTable(text: string, separator: ',' | '\t', partial = false): TextTable {
  const rows: string[][] = [];
  let at = text.startsWith('\ufeff') ? 1 : 0;
  while (at < text.length && rows.length <= mostRows) {
    const [row, end] = readRow(text, at, separator);
    if (partial && end >= text.length) break;
    rows.push(row);
    at = end;
  }
  const cut = rows.length > mostRows || partial;
  const shown = rows.slice(0, mostRows);
  return { rows: shown, cut, numeric: numericColumns(shown) };
}

function readRow(text: string, begin: number, separator: ',' | '\t'): readonly [row: string[], end: number] {
  const row: string[] = [];
  for (let at = begin; ; at += 1) {
    const [value, end] = readField(text, at, separator);
    if (row.length < mostColumns) row.push(value);
    at = end;
    if (text[at] === separator) continue;
    if (text[at] === '\r' && text[at + 1] === '\n') at += 1;
    return [row, at + 1];
  }
}

function readField(
  text: string,
  begin: number,
  separator: ',' | '\t',
): readonly [value: string, end: number] {
  let value = '';
  let at = begin;
  if (text[at] === '"') {
    for (at += 1; at < text.length; at += 1) {
      const close = text.indexOf('"', at);
      const end = close === -1 ? text.length : close;
      value += text.slice(at, end);
      at = end;
      if (text[at + 1] !== '"') break;
      value += '"';
      at += 1;
    }
    at = Math.min(at + 1, text.length);
  }
  const rest = at;
  while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') at += 1;
  return [value + text.slice(rest, at), at];
}

function numericColumns(rows: readonly (readonly string[])[]): readonly boolean[] {
  const [head = [], ...body] = rows;
  return head.map((_, column) => {
    const values = body.map((row) => (row[column] ?? '').trim()).filter((value) => value !== '');
    return values.length > 0 && values.every((value) => number.test(value));
  });
}
