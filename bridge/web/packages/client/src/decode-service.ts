/** What the whole service is doing, checked as it comes in. */
import * as read from './read.ts';
import {
  type AuditEntry,
  type Band,
  type Batch,
  type BridgeLine,
  type ConnectedDevice,
  type Connections,
  type Count,
  type Devices,
  type Everywhere,
  type Notice,
  type Queue,
  type QueueLane,
  type Quota,
  type SystemMetrics,
  severities,
  type Worker,
  type WorkerJob,
} from './service-types.ts';
import type { TransportName } from './transport.ts';
import { jobStates } from './types.ts';
import type * as wire from './wire.generated.ts';

function zero<W>(from: read.Raw<W>, field: Parameters<typeof read.numberOr<W>>[1]): number {
  return read.numberOr(from, field, 0);
}

const band = (from: read.Raw<wire.Band>): Band => ({ low: zero(from, 'low'), high: zero(from, 'high') });

const lane = read.each(
  (from: read.Raw<wire.QueueLane>): QueueLane => ({
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

const slots = (
  from: read.Raw<
    Pick<wire.Queue & wire.Figures, 'workersTotal' | 'workersActive' | 'slotsTotal' | 'slotsUsed'>
  >,
) => ({
  workersTotal: zero(from, 'workersTotal'),
  workersActive: zero(from, 'workersActive'),
  slotsTotal: zero(from, 'slotsTotal'),
  slotsUsed: zero(from, 'slotsUsed'),
});

export function queue(from: read.Raw<wire.Queue>): Queue {
  return {
    ...slots(from),
    lanes: read.list(from, 'lanes', lane),
    unservedKinds: read.list(from, 'unservedKinds', read.string),
  };
}

function jobCounts(from: read.Raw<Readonly<Record<string, number>>>): SystemMetrics['jobs'] {
  return Object.fromEntries(jobStates.map((state) => [state, zero(from, state)]));
}

export function metrics(from: read.Raw<wire.Figures>): SystemMetrics {
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
    jobs: read.optional(from, 'jobs', jobCounts) ?? {},
    watchers: zero(from, 'watchers'),
  };
}

const workerJob = read.each(
  (from: read.Raw<wire.WorkerJob>): WorkerJob => ({
    jobId: read.text(from, 'jobId'),
    attempt: zero(from, 'attempt'),
    progress: zero(from, 'progress'),
    startTime: read.textOrNull(from, 'startTime'),
  }),
);

export const worker = read.each(
  (from: read.Raw<wire.Worker>): Worker => ({
    workerId: read.text(from, 'workerId'),
    software: read.textOrNull(from, 'software') ?? '',
    kinds: read.list(from, 'kinds', read.string),
    slots: zero(from, 'slots'),
    connected: read.flag(from, 'connected'),
    draining: read.flag(from, 'draining'),
    heardTime: read.textOrNull(from, 'heardTime'),
    jobs: read.list(from, 'jobs', workerJob),
    pageDurationMs: read.numberOrNull(from, 'pageDurationMs'),
    pagesDone: zero(from, 'pagesDone'),
  }),
);

const named = read.each(
  (from: read.Raw<wire.Count>): Count => ({
    name: read.text(from, 'name'),
    connections: zero(from, 'connections'),
  }),
);

function kinds(from: read.Raw<Readonly<Record<string, number>>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.keys(from).map((kind) => [kind, zero(from, kind)]));
}

const bridge = read.each(
  (from: read.Raw<wire.BridgeLine>): BridgeLine => ({
    bridge: read.text(from, 'bridge'),
    software: read.textOrNull(from, 'software') ?? '',
    connectTime: read.textOrNull(from, 'connectTime'),
    connections: zero(from, 'connections'),
    users: zero(from, 'users'),
    rooms: zero(from, 'rooms'),
  }),
);

const everywhere = (from: read.Raw<wire.Everywhere>): Everywhere => ({
  total: zero(from, 'total'),
  users: zero(from, 'users'),
  devices: zero(from, 'devices'),
  byKind: kinds(read.part(from, 'byKind')),
  rooms: read.list(from, 'rooms', named),
  bridges: read.list(from, 'bridges', bridge),
});

/** `own` is which of them this is. */
export function devices(from: read.Raw<wire.Devices>, own: string | null): Devices {
  const device = read.each((item: read.Raw<wire.ShownDevice>): ConnectedDevice => {
    const deviceId = read.text(item, 'deviceId');
    return {
      deviceId,
      name: read.textOrNull(item, 'name'),
      transports: read.list(item, 'transports', read.string).filter(isTransport),
      connections: zero(item, 'connections'),
      connectTime: read.textOrNull(item, 'connectTime'),
      current: deviceId === own,
    };
  });
  return { devices: read.list(from, 'devices', device), complete: read.flag(from, 'complete') };
}

const isTransport = (name: string): name is TransportName =>
  name === 'websocket' || name === 'sse' || name === 'polling';

export function connections(from: read.Raw<wire.Connections>): Connections {
  return {
    bridge: read.text(from, 'bridge'),
    total: zero(from, 'total'),
    users: zero(from, 'users'),
    byUser: read.list(from, 'byUser', named),
    roomsTotal: zero(from, 'roomsTotal'),
    byKind: kinds(read.part(from, 'byKind')),
    rooms: read.list(from, 'rooms', named),
    everywhere: read.optional(from, 'everywhere', everywhere),
  };
}

export const entry = read.each(
  (from: read.Raw<wire.Record>): AuditEntry => ({
    number: zero(from, 'number'),
    time: read.text(from, 'time'),
    deed: read.text(from, 'deed'),
    user: read.textOrNull(from, 'user'),
    address: read.textOrNull(from, 'address'),
    target: read.textOrNull(from, 'target'),
    count: read.numberOr(from, 'count', 1),
  }),
);

export function notice(from: read.Raw<wire.Notification>): Notice {
  return {
    id: read.text(from, 'id'),
    kind: read.text(from, 'kind'),
    severity: read.word(from, 'severity', severities, 'info'),
    title: read.text(from, 'title'),
    body: read.textOrNull(from, 'body') ?? '',
    jobId: read.textOrNull(from, 'jobId'),
    createTime: read.given(from, 'createTime'),
    readTime: read.textOrNull(from, 'readTime'),
  };
}

export function batch(from: read.Raw<wire.Batch>): Batch {
  return {
    batchId: read.text(from, 'batchId'),
    owner: read.text(from, 'owner'),
    jobsTotal: zero(from, 'jobsTotal'),
    jobsQueued: zero(from, 'jobsQueued'),
    jobsRunning: zero(from, 'jobsRunning'),
    jobsCancelling: zero(from, 'jobsCancelling'),
    jobsSucceeded: zero(from, 'jobsSucceeded'),
    jobsFailed: zero(from, 'jobsFailed'),
    jobsCancelled: zero(from, 'jobsCancelled'),
    progress: zero(from, 'progress'),
    pagesTotal: zero(from, 'pagesTotal'),
    pagesDone: zero(from, 'pagesDone'),
    complete: read.flag(from, 'complete'),
    createTime: read.textOrNull(from, 'createTime'),
    endTime: read.textOrNull(from, 'endTime'),
  };
}

export const quota = read.each(
  (from: read.Raw<wire.Quota>): Quota => ({
    name: read.text(from, 'name'),
    limit: zero(from, 'limit'),
    used: zero(from, 'used'),
    retryAfter: read.numberOrNull(from, 'retryAfter'),
  }),
);
