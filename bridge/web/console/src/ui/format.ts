/** Numbers and times in words for people. */
import {
  CourantError,
  type Job,
  type JobState,
  type ResultFormat,
  type Step,
  type ZoneKind,
} from '@courant/client';

const units = ['B', 'kB', 'MB', 'GB'];

export function bytes(size: number): string {
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `0.8 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function span(seconds: number): string {
  if (seconds < 0.05) return '0 s';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A long span that need not tick: `40 s`, `12 min`, `3 h 20 min`, `9 days`. */
export function uptime(seconds: number): string {
  if (seconds < 60) return ticking(seconds);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? span(seconds) : `${Math.floor(seconds / 86_400)} days`;
}

/** A span that ticks: whole seconds only, so that it does not flicker. */
export function ticking(seconds: number): string {
  return seconds < 60 ? `${Math.max(0, Math.round(seconds))} s` : span(seconds);
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}

/** `5 of 12 pages`. */
export function pagesSentence(job: Job): string {
  return job.pagesTotal === null
    ? count(job.pagesDone, 'page')
    : `${job.pagesDone.toLocaleString('en')} of ${count(job.pagesTotal, 'page')}`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export function ago(time: string, now: number): string {
  const seconds = (Date.parse(time) - now) / 1000;
  if (seconds > -45) return 'just now';
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), 'minute');
  if (seconds > -86_400) return relative.format(Math.round(seconds / 3600), 'hour');
  return relative.format(Math.round(seconds / 86_400), 'day');
}

export function dateTime(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

export const stateNames: Record<JobState, string> = {
  queued: 'Queued',
  running: 'Running',
  cancelling: 'Cancelling',
  succeeded: 'Succeeded',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export const stepNames: Record<Step, string> = {
  queued: 'Queued',
  analyse: 'Analyse',
  extract: 'Extract',
  merge: 'Merge',
  export: 'Export',
  done: 'Done',
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

export function sentenceCase(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A failure as one sentence. */
export function failure(error: unknown): string {
  if (error instanceof CourantError) return sentenceCase(error.message);
  return error instanceof Error ? error.message : String(error);
}
