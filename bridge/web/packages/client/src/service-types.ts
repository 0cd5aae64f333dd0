/** What the whole service is doing, as it is given out by `service.ts`. */
import type { TransportName } from './transport.ts';
import type { JobState } from './types.ts';

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

/** One of the signed-in person's devices that is connected now. */
export interface ConnectedDevice {
  readonly deviceId: string;
  /** `null` when it told none. */
  readonly name: string | null;
  readonly transports: readonly TransportName[];
  /** Pages and programs open on it. */
  readonly connections: number;
  /** Since when it has been connected without a break. */
  readonly connectTime: string | null;
  /** It is this one. */
  readonly current: boolean;
}

/** All of them. */
export interface Devices {
  /** Those that have been connected longest first. */
  readonly devices: readonly ConnectedDevice[];
  /** `false`: those connected to other bridges are not known at this moment. */
  readonly complete: boolean;
}

/** One of several bridges. */
export interface BridgeLine {
  readonly bridge: string;
  readonly software: string;
  readonly connectTime: string | null;
  readonly connections: number;
  readonly users: number;
  readonly rooms: number;
}

/** Who is connected to any bridge. */
export interface Everywhere {
  readonly total: number;
  readonly users: number;
  readonly devices: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly rooms: readonly Count[];
  /** Oldest first. */
  readonly bridges: readonly BridgeLine[];
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
  /** Over all bridges; `null` until the server has told. */
  readonly everywhere: Everywhere | null;
}

/** The jobs of a batch as one. */
export interface Batch {
  readonly batchId: string;
  readonly owner: string;
  /** As many as were announced, or have come. */
  readonly jobsTotal: number;
  readonly jobsQueued: number;
  readonly jobsRunning: number;
  readonly jobsCancelling: number;
  readonly jobsSucceeded: number;
  readonly jobsFailed: number;
  readonly jobsCancelled: number;
  /** 0 to 100. */
  readonly progress: number;
  /** As far as they are known. */
  readonly pagesTotal: number;
  readonly pagesDone: number;
  /** All jobs have come and ended. */
  readonly complete: boolean;
  readonly createTime: string | null;
  readonly endTime: string | null;
}

/** Something one may have or do so often, and how far it is used. */
export interface Quota {
  readonly name: string;
  readonly limit: number;
  readonly used: number;
  /** Seconds until there is room again; `null` when there is. */
  readonly retryAfter: number | null;
}

/** Something that was done through this bridge. */
export interface AuditEntry {
  readonly number: number;
  readonly time: string;
  readonly deed: string;
  readonly user: string | null;
  readonly address: string | null;
  readonly target: string | null;
  /** How often it happened: refusals that are alike are one entry. */
  readonly count: number;
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
