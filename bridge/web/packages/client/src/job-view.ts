/** From a job as it was and a message to the job as it is. Pure; never changes what it was given. */
import { type ExistingJobEvent, isUpdate, type JobUpdate } from './messages.ts';
import type { Job, Page, Zone, ZoneKind } from './types.ts';

/** A finished page with what was found on it. */
export interface PageView extends Page {
  /** In reading order. */
  readonly zones: readonly Zone[];
}

/** How many zones of each kind were found. */
export type ZoneCounts = Readonly<Partial<Record<ZoneKind, number>>>;

/** A job with everything this client knows of its pages. */
export interface JobView {
  readonly job: Job;
  /** Finished pages by `number - 1`; `undefined` where nothing is known (for example before a reload). */
  readonly pages: readonly (PageView | undefined)[];
  readonly zoneCounts: ZoneCounts;
  /** Zones whose page is just being finished. */
  readonly open: readonly Zone[];
  /** When `job` came here, in milliseconds since 1970: what elapsed time counts on from. */
  readonly receivedAt: number;
}

/** The view of a job nothing else is known of. */
export function view(job: Job, receivedAt: number): JobView {
  return { job, pages: [], zoneCounts: {}, open: [], receivedAt };
}

function count(counts: ZoneCounts, zones: readonly Zone[], by: 1 | -1): ZoneCounts {
  const next: Partial<Record<ZoneKind, number>> = { ...counts };
  for (const { kind } of zones) next[kind] = (next[kind] ?? 0) + by;
  return next;
}

/** Adds or replaces a page; doing it twice changes nothing. */
export function withPage(before: JobView, page: PageView): JobView {
  const index = page.number - 1;
  if (!Number.isInteger(index) || index < 0) return before;
  const pages = before.pages.slice();
  while (pages.length < index) pages.push(undefined);
  const known = before.pages[index];
  pages[index] = page;
  const counts = known ? count(before.zoneCounts, known.zones, -1) : before.zoneCounts;
  return { ...before, pages, zoneCounts: count(counts, page.zones, 1) };
}

function withZone(before: JobView, zone: Zone): JobView {
  return { ...before, open: [...before.open.filter((other) => other.zoneId !== zone.zoneId), zone] };
}

function finishPage(before: JobView, page: Page): JobView {
  const zones = before.open.filter((zone) => zone.page === page.number);
  const known = before.pages[page.number - 1];
  // A replay may bring the page without its group; what is known of its zones then stays.
  const kept = zones.length === 0 && page.zoneCount > 0 && known ? known.zones : zones;
  const open = before.open.filter((zone) => zone.page !== page.number);
  return withPage({ ...before, open }, { ...page, zones: [...kept].sort((a, b) => a.index - b.index) });
}

/** Whether it says nothing new of a job: of an earlier revision, or of the same and from earlier in the attempt. */
function isOld(known: Job, { revision, elapsed }: Pick<Job, 'revision' | 'elapsed'>): boolean {
  if (revision !== known.revision) return revision < known.revision;
  return elapsed !== null && known.elapsed !== null && elapsed < known.elapsed;
}

/** Takes a newer job; an older one than what is known is not taken. */
export function withJob(before: JobView, job: Job, receivedAt: number): JobView {
  return isOld(before.job, job) ? before : { ...before, job, receivedAt };
}

/** Merges what changes without an event; all else stays as the newest event or snapshot said, and so does `revision`. */
function withUpdate(before: JobView, update: JobUpdate, receivedAt: number): JobView {
  if (isOld(before.job, update)) return before;
  const { type, topic, coalesced, revision, export: _, ...fields } = update;
  return { ...before, job: { ...before.job, ...fields }, receivedAt };
}

/** Applies an event. Facts about pages are always taken, the job itself only when it is not older than what is known. */
export function applyEvent(before: JobView, event: ExistingJobEvent, receivedAt: number): JobView {
  if (event.type === 'zone-completed') return withZone(before, event.zone);
  if (isUpdate(event)) return withUpdate(before, event, receivedAt);
  // What is known at its revision may have newer values than the event: those of updates, or of a snapshot.
  const isNew = event.job.revision > before.job.revision;
  const after = isNew ? { ...before, job: event.job, receivedAt } : before;
  return event.type === 'page-completed' ? finishPage(after, event.page) : after;
}
