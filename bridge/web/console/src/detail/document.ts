/** The JSON result, read with care: it comes from whatever worker made it. What cannot be understood is left out. */
import {
  type PageView,
  type Zone,
  type ZoneKind,
  type ZoneStatus,
  zoneKinds,
  zoneStatuses,
} from '@courant/client';

export interface Cell {
  readonly text: string;
  readonly colspan: number;
  readonly rowspan: number;
}

export interface Item {
  readonly number: number | null;
  readonly text: string;
}

export interface Block {
  readonly id: string;
  readonly kind: ZoneKind;
  readonly text: string;
  readonly note: string;
  readonly level: number;
  readonly preformatted: boolean;
  readonly items: readonly Item[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface DocumentPage {
  readonly view: PageView;
  readonly blocks: readonly Block[];
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;
const objects = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown, fallback: number): number => (typeof value === 'number' ? value : fallback);
const kindOf = (value: unknown): ZoneKind => zoneKinds.find((kind) => kind === value) ?? 'unknown';
const statusOf = (value: unknown): ZoneStatus =>
  zoneStatuses.find((status) => status === value) ?? 'completed';

function cell(from: Json): Cell {
  const span = (value: unknown) => Math.min(1000, Math.max(1, number(value, 1)));
  return { text: text(from['text']), colspan: span(from['colspan']), rowspan: span(from['rowspan']) };
}

/** Rows without any text are the finder's, not the author's. One that reaches into others must stay. */
function hasText(row: readonly Cell[]): boolean {
  return row.some(({ text, rowspan }) => text.trim() !== '' || rowspan > 1);
}

function block(from: Json): Block {
  const rows = Array.isArray(from['rows']) ? from['rows'] : [];
  return {
    id: text(from['id']),
    kind: kindOf(from['kind']),
    text: text(from['text']),
    note: text(from['note']),
    level: number(from['level'], 1),
    preformatted: from['preformatted'] === true,
    items: objects(from['items']).map((item) => ({
      number: typeof item['number'] === 'number' ? item['number'] : null,
      text: text(item['text']),
    })),
    rows: rows.map((row) => objects(row).map(cell)).filter(hasText),
  };
}

function zone(from: Json, page: number): Zone {
  const box = isObject(from['bbox']) ? from['bbox'] : null;
  const side = (name: string) => number(box?.[name], 0);
  return {
    zoneId: text(from['id']),
    index: number(from['index'], 0),
    page,
    boundingBox: { x0: side('x0'), y0: side('y0'), x1: side('x1'), y1: side('y1') },
    kind: kindOf(from['kind']),
    tool: text(from['tool']),
    status: statusOf(from['status']),
    confidence: number(from['confidence'], 0),
    durationMs: number(from['duration_ms'], 0),
    note: text(from['note']) || null,
  };
}

function page(from: Json): DocumentPage {
  const at = number(from['number'], 0);
  const zones = objects(from['zones']);
  const view: PageView = {
    number: at,
    width: number(from['width'], 0),
    height: number(from['height'], 0),
    zoneCount: zones.length,
    durationMs: number(from['duration_ms'], 0),
    warnings: Array.isArray(from['warnings']) ? from['warnings'].map(text) : [],
    zones: zones.map((each) => zone(each, at)),
  };
  return { view, blocks: zones.map(block) };
}

/** A page as its worker wrote it; `null` when it is something else. */
export function readPage(json: string): DocumentPage | null {
  try {
    const from: unknown = JSON.parse(json);
    return isObject(from) && Array.isArray(from['zones']) ? page(from) : null;
  } catch {
    return null;
  }
}

/** The pages of a JSON result; `null` when it is something else. */
export function readDocument(json: string): readonly DocumentPage[] | null {
  try {
    const from: unknown = JSON.parse(json);
    return isObject(from) && Array.isArray(from['pages']) ? objects(from['pages']).map(page) : null;
  } catch {
    return null;
  }
}
