/** What the bridge says (PROTOCOL.md, sections 2 and 3), as one union on `type`. */
import type { Json } from './read.ts';
import type { Export, Job, Page, Zone } from './types.ts';

/** Limits the bridge announces when a connection is accepted. */
export interface Limits {
  readonly maxMessageBytes: number;
  readonly maxSubscriptions: number;
  readonly messagesPerSecond: number;
  /** How many may come at once. `null`: an older bridge, which takes one topic in a `subscribe`. */
  readonly messageBurst: number | null;
}

/** The connection is authenticated; also the answer to a renewed token. */
export interface Connected {
  readonly type: 'connected';
  readonly id: number | null;
  readonly connectionId: string;
  readonly deviceId: string | null;
  readonly user: string;
  readonly roles: readonly string[];
  readonly tokenExpiresAt: string | null;
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  readonly limits: Limits;
}

export interface AuthError {
  readonly type: 'auth-error';
  readonly id: number | null;
  readonly code: string;
  readonly message: string;
}

export interface Subscribed {
  readonly type: 'subscribed';
  readonly id: number | null;
  readonly topic: string;
  readonly mode: 'resumed' | 'snapshot';
  /** Why a cursor could not be continued from. */
  readonly reason: string | null;
  readonly cursor: string | null;
}

export interface Ok {
  readonly type: 'ok';
  readonly id: number | null;
}

export interface Pong {
  readonly type: 'pong';
  readonly id: number | null;
}

/** A command failed. */
export interface ErrorReply {
  readonly type: 'error';
  readonly id: number | null;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  /** Of a `subscribe` to several topics: which of them was refused. `null`: all. */
  readonly topic: string | null;
}

export interface Snapshot {
  readonly type: 'snapshot';
  readonly topic: string;
  readonly job: Job;
}

export interface Live {
  readonly type: 'live' | 'bookmark';
  readonly topic: string;
  readonly cursor: string | null;
}

export interface Gap {
  readonly type: 'gap';
  readonly topic: string;
  readonly reason: string;
}

export interface Stalled {
  readonly type: 'stalled';
  readonly topic: string;
  readonly code: string;
}

export interface Unsubscribed {
  readonly type: 'unsubscribed';
  readonly topic: string;
  readonly code: string;
}

export interface Draining {
  readonly type: 'draining';
  readonly retryAfterMs: number | null;
}

/** The token runs out soon: a fresh one is asked for. */
export interface AuthExpiring {
  readonly type: 'auth-expiring';
}

export interface Closing {
  readonly type: 'closing';
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs: number | null;
}

interface JobMessage<T extends string> {
  readonly type: T;
  readonly topic: string;
  /** Durable messages only. */
  readonly cursor: string | null;
  /** How many older transient messages this one stands for. */
  readonly folded: number;
  readonly job: Job;
}

export const plainJobEventTypes = [
  'job-queued',
  'job-started',
  'job-planned',
  'job-progress',
  'job-retrying',
  'job-cancelling',
  'job-completed',
  'job-failed',
  'job-cancelled',
  'queue-position',
] as const;
export const exportEventTypes = [
  'export-started',
  'export-progress',
  'export-completed',
  'export-failed',
] as const;

export type PlainJobEvent = JobMessage<(typeof plainJobEventTypes)[number]>;
export type ZoneProcessing = JobMessage<'zone-processing'> & { readonly zone: Zone };
export type PageCompleted = JobMessage<'page-completed'> & { readonly page: Page };
export type ExportEvent = JobMessage<(typeof exportEventTypes)[number]> & { readonly export: Export };

/** A zone of a page that is just being finished; `page-completed` follows at once. */
export interface ZoneCompleted {
  readonly type: 'zone-completed';
  readonly topic: string;
  readonly jobId: string;
  readonly revision: number;
  readonly zone: Zone;
}

/** The job is gone, with its document and results. */
export interface JobDeleted {
  readonly type: 'job-deleted';
  readonly topic: string;
  readonly cursor: string | null;
  readonly jobId: string;
  readonly documentId: string;
  readonly batchId: string | null;
  readonly owner: string;
  readonly revision: number;
  readonly timestamp: string | null;
}

/** Something that happened to a job that is there. */
export type LivingJobEvent = PlainJobEvent | ZoneProcessing | ZoneCompleted | PageCompleted | ExportEvent;

/** Something that happened to a job. */
export type JobEvent = LivingJobEvent | JobDeleted;

export const stateTypes = [
  'queue-status',
  'system-metrics',
  'workers',
  'connections',
  'audit',
  'devices',
  'notification',
] as const;

/** A state as a whole, or a notice: of the topics `queue`, `devices`, `admin` and `notifications`. Read by `service.ts`. */
export interface StateMessage {
  readonly type: (typeof stateTypes)[number];
  readonly topic: string;
  readonly cursor: string | null;
  readonly body: Json;
}

/** Pushes that belong to a topic. */
export type TopicMessage = Snapshot | Live | Gap | Stalled | Unsubscribed | StateMessage | JobEvent;

/** Answers to commands. */
export type Reply = Connected | AuthError | Subscribed | Ok | Pong | ErrorReply;

export type ServerMessage = Reply | TopicMessage | AuthExpiring | Draining | Closing;
