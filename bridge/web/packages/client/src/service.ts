/**
 * What the topics `queue`, `admin` and `notifications` push, checked and typed: `@courant/client/service`. Beside the
 * client and not in it, since most pages need none of it.
 */
import type { CourantClient } from './client.ts';
import type { StateMessage } from './messages.ts';
import * as read from './read.ts';
import { type JobState, jobStates } from './types.ts';

/** What really happens lies in here in 8 of 10 cases. Seconds. */
export interface Band {
  readonly low: number;
  readonly high: number;
}

/** One lane of one kind of work. Spans are seconds. */
export interface QueueLane {
  readonly kind: string;
  readonly lane: string;
  readonly waiting: number;
  /** Waiting for their next attempt's time. */
  readonly delayed: number;
  readonly active: number;
  readonly pagesWaiting: number;
  readonly averageWait: number | null;
  readonly oldestWait: number | null;
  /** Of a job that came now. */
  readonly estimatedWait: number | null;
  readonly estimatedWaitBand: Band | null;
  /** Of the service while all lanes have jobs waiting, 0 to 1. */
  readonly share: number;
}

/** What waits and who works. */
export interface Queue {
  readonly lanes: readonly QueueLane[];
  readonly workersTotal: number;
  readonly workersActive: number;
  readonly slotsTotal: number;
  readonly slotsUsed: number;
  /** Kinds of work that jobs wait for and no worker takes. */
  readonly unservedKinds: readonly string[];
}

/** Figures of the server and its work. Spans are seconds. */
export interface SystemMetrics {
  readonly sampleTime: string | null;
  readonly startTime: string | null;
  readonly version: string;
  readonly workersTotal: number;
  readonly workersActive: number;
  readonly slotsTotal: number;
  readonly slotsUsed: number;
  readonly memoryBytes: number;
  /** Of one processor. */
  readonly cpuPercent: number;
  readonly loadAverage: readonly number[];
  readonly jobsSucceeded: number;
  readonly jobsFailed: number;
  readonly jobsCancelled: number;
  readonly averageDuration: number | null;
  /** Of the last hour, 0 to 1. */
  readonly errorRate: number;
  readonly throughputPerHour: number;
  readonly pagesPerHour: number;
  readonly jobs: Readonly<Partial<Record<JobState, number>>>;
  readonly watchers: number;
}

export interface WorkerJob {
  readonly jobId: string;
  readonly attempt: number;
  readonly progress: number;
  readonly startTime: string | null;
}

export interface Worker {
  readonly workerId: string;
  readonly software: string;
  readonly kinds: readonly string[];
  readonly slots: number;
  readonly connected: boolean;
  readonly draining: boolean;
  readonly heardTime: string | null;
  readonly jobs: readonly WorkerJob[];
  readonly pageDurationMs: number | null;
  readonly pagesDone: number;
}

export interface Count {
  readonly name: string;
  readonly connections: number;
}

/** Who is connected to this bridge. */
export interface Connections {
  readonly bridge: string;
  readonly total: number;
  readonly users: number;
  readonly byUser: readonly Count[];
  readonly roomsTotal: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly rooms: readonly Count[];
}

/** Something that was done through this bridge. */
export interface AuditEntry {
  readonly number: number;
  readonly time: string;
  readonly deed: string;
  readonly user: string | null;
  readonly address: string | null;
  readonly target: string | null;
}

export const severities = ['info', 'success', 'warning', 'error'] as const;

/** Something the signed-in person is told. */
export interface Notice {
  readonly id: string;
  /** `job-succeeded`, `job-failed`, or `message`: an operator or a service has something to say. */
  readonly kind: string;
  readonly severity: (typeof severities)[number];
  readonly title: string;
  readonly body: string;
  readonly jobId: string | null;
  readonly createTime: string;
  /** `null`: unread on every device. */
  readonly readTime: string | null;
}

const zero = (from: read.Json, field: string): number => read.numberOr(from, field, 0);
const itemOf =
  <T>(take: (from: read.Json) => T) =>
  (item: unknown): T =>
    take(read.object(item, 'item'));
const band = (from: read.Json): Band => ({ low: zero(from, 'low'), high: zero(from, 'high') });

const lane = itemOf(
  (from): QueueLane => ({
    kind: read.text(from, 'kind'),
    lane: read.text(from, 'lane'),
    waiting: zero(from, 'waiting'),
    delayed: zero(from, 'delayed'),
    active: zero(from, 'active'),
    pagesWaiting: zero(from, 'pagesWaiting'),
    averageWait: read.numberOrNull(from, 'averageWait'),
    oldestWait: read.numberOrNull(from, 'oldestWait'),
    estimatedWait: read.numberOrNull(from, 'estimatedWait'),
    estimatedWaitBand: read.optional(from, 'estimatedWaitBand', band),
    share: zero(from, 'share'),
  }),
);

const slots = (from: read.Json) => ({
  workersTotal: zero(from, 'workersTotal'),
  workersActive: zero(from, 'workersActive'),
  slotsTotal: zero(from, 'slotsTotal'),
  slotsUsed: zero(from, 'slotsUsed'),
});

function queue(from: read.Json): Queue {
  return {
    ...slots(from),
    lanes: read.list(from, 'lanes', lane),
    unservedKinds: read.list(from, 'unservedKinds', read.string),
  };
}

function jobCounts(value: unknown): SystemMetrics['jobs'] {
  const from = read.isObject(value) ? value : {};
  return Object.fromEntries(jobStates.map((state) => [state, zero(from, state)]));
}

function metrics(from: read.Json): SystemMetrics {
  return {
    ...slots(from),
    sampleTime: read.textOrNull(from, 'sampleTime'),
    startTime: read.textOrNull(from, 'startTime'),
    version: read.textOrNull(from, 'version') ?? '',
    memoryBytes: zero(from, 'memoryBytes'),
    cpuPercent: zero(from, 'cpuPercent'),
    loadAverage: read.list(from, 'loadAverage', Number),
    jobsSucceeded: zero(from, 'jobsSucceeded'),
    jobsFailed: zero(from, 'jobsFailed'),
    jobsCancelled: zero(from, 'jobsCancelled'),
    averageDuration: read.numberOrNull(from, 'averageDuration'),
    errorRate: zero(from, 'errorRate'),
    throughputPerHour: zero(from, 'throughputPerHour'),
    pagesPerHour: zero(from, 'pagesPerHour'),
    jobs: jobCounts(from['jobs']),
    watchers: zero(from, 'watchers'),
  };
}

const workerJob = itemOf(
  (from): WorkerJob => ({
    jobId: read.text(from, 'jobId'),
    attempt: zero(from, 'attempt'),
    progress: zero(from, 'progress'),
    startTime: read.textOrNull(from, 'startTime'),
  }),
);

const worker = itemOf(
  (from): Worker => ({
    workerId: read.text(from, 'workerId'),
    software: read.textOrNull(from, 'software') ?? '',
    kinds: read.list(from, 'kinds', read.string),
    slots: zero(from, 'slots'),
    connected: from['connected'] === true,
    draining: from['draining'] === true,
    heardTime: read.textOrNull(from, 'heardTime'),
    jobs: read.list(from, 'jobs', workerJob),
    pageDurationMs: read.numberOrNull(from, 'pageDurationMs'),
    pagesDone: zero(from, 'pagesDone'),
  }),
);

const named = itemOf(
  (from): Count => ({ name: read.text(from, 'name'), connections: zero(from, 'connections') }),
);

function connections(from: read.Json): Connections {
  const kinds = read.isObject(from['byKind']) ? from['byKind'] : {};
  return {
    bridge: read.text(from, 'bridge'),
    total: zero(from, 'total'),
    users: zero(from, 'users'),
    byUser: read.list(from, 'byUser', named),
    roomsTotal: zero(from, 'roomsTotal'),
    byKind: Object.fromEntries(Object.keys(kinds).map((kind) => [kind, zero(kinds, kind)])),
    rooms: read.list(from, 'rooms', named),
  };
}

const entry = itemOf(
  (from): AuditEntry => ({
    number: zero(from, 'number'),
    time: read.text(from, 'time'),
    deed: read.text(from, 'deed'),
    user: read.textOrNull(from, 'user'),
    address: read.textOrNull(from, 'address'),
    target: read.textOrNull(from, 'target'),
  }),
);

function notice(from: read.Json): Notice {
  return {
    id: read.text(from, 'id'),
    kind: read.text(from, 'kind'),
    severity: read.word(from, 'severity', severities, 'info'),
    title: read.text(from, 'title'),
    body: read.textOrNull(from, 'body') ?? '',
    jobId: read.textOrNull(from, 'jobId'),
    createTime: read.text(from, 'createTime'),
    readTime: read.textOrNull(from, 'readTime'),
  };
}

/** The notice in a message, and how many are unread now; `null` when the message is another one. */
export function noticeIn(message: StateMessage): { readonly notice: Notice; readonly unread: number } | null {
  if (message.type !== 'notification') return null;
  try {
    const from = read.object(message.body['notification'], 'notification');
    return { notice: notice(from), unread: zero(message.body, 'unread') };
  } catch {
    return null;
  }
}

/** Each message is read once; what is no such message is `null`. */
const taken = new WeakMap<StateMessage, unknown>();

function newest<T>(
  client: CourantClient,
  type: StateMessage['type'],
  take: (body: read.Json) => T,
): T | null {
  const message = client.pushed(type);
  if (message === null) return null;
  if (!taken.has(message)) {
    try {
      taken.set(message, take(message.body));
    } catch {
      taken.set(message, null);
    }
  }
  return taken.get(message) as T | null;
}

/** The queue as it is; `null` until `queue` or `admin` is watched and something came. */
export function queueStatus(client: CourantClient): Queue | null {
  return newest(client, 'queue-status', (body) => queue(read.object(body['queue'], 'queue')));
}

/** The figures as they are, for admins who watch `admin`. */
export function systemMetrics(client: CourantClient): SystemMetrics | null {
  return newest(client, 'system-metrics', (body) => metrics(read.object(body['metrics'], 'metrics')));
}

/** All workers as they are, for admins who watch `admin`. */
export function workers(client: CourantClient): readonly Worker[] | null {
  return newest(client, 'workers', (body) => read.list(body, 'workers', worker));
}

/** Who is connected, for admins who watch `admin`. */
export function connectionCounts(client: CourantClient): Connections | null {
  return newest(client, 'connections', (body) =>
    connections(read.object(body['connections'], 'connections')),
  );
}

/** What was done lately, newest first, for admins who watch `admin`. */
export function auditTrail(client: CourantClient): readonly AuditEntry[] | null {
  return newest(client, 'audit', (body) =>
    [...read.list(body, 'entries', entry)].sort((a, b) => b.number - a.number),
  );
}
