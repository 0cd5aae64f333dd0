/** Numbers and times in words for people. */
import type { Job, ResultFormat, Step, ZoneKind } from '@courant/client';
import { formatCount, formatDuration, formatWholeSeconds } from '@courant/react/format';

const units = ['B', 'kB', 'MB', 'GB'];

export function formatBytes(size: number): string {
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A long duration that need not tick: `40 s`, `12 min`, `3 h 20 min`, `9 days`. */
export function formatUptime(seconds: number): string {
  if (seconds < 60) return formatWholeSeconds(seconds);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? formatDuration(seconds) : `${Math.floor(seconds / 86_400)} days`;
}

/** `5 of 12 pages`. */
export function formatPagesDone(job: Job): string {
  return job.pagesTotal === null
    ? formatCount(job.pagesDone, 'page')
    : `${job.pagesDone.toLocaleString('en')} of ${formatCount(job.pagesTotal, 'page')}`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export function formatAgo(time: string, now: number): string {
  const seconds = (Date.parse(time) - now) / 1000;
  if (seconds > -45) return 'just now';
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), 'minute');
  if (seconds > -86_400) return relative.format(Math.round(seconds / 3600), 'hour');
  return relative.format(Math.round(seconds / 86_400), 'day');
}

export function formatDateTime(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

export const stepNames: Record<Step, string> = {
  queued: 'Queued',
  analyse: 'Analyse',
  extract: 'Extract',
  merge: 'Merge',
  export: 'Export',
  done: 'Finish',
};

export const zoneNames: Record<ZoneKind, readonly [one: string, many: string]> = {
  heading: ['heading', 'headings'],
  paragraph: ['paragraph', 'paragraphs'],
  list: ['list', 'lists'],
  table: ['table', 'tables'],
  figure: ['figure', 'figures'],
  header: ['running header', 'running headers'],
  footer: ['running footer', 'running footers'],
  scan: ['scanned region', 'scanned regions'],
  unknown: ['other zone', 'other zones'],
};

export const formatNames: Record<ResultFormat, string> = {
  json: 'JSON',
  md: 'Markdown',
  txt: 'Text',
  html: 'HTML',
};

const tools: Record<string, string> = {
  'text-layer': 'text layer',
  image: 'image',
  'ocr:tesseract': 'OCR (Tesseract)',
  'ocr:mistral': 'OCR (Mistral)',
};

export function toolName(tool: string): string {
  return tools[tool] ?? tool;
}
