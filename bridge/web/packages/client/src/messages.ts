/** What the bridge sends (PROTOCOL.md, sections 2 and 3), as one union on `type`. */
import type { Json } from './read.ts';
import type {
  Export,
  Job,
  Messages,
  Output,
  Page,
  JobEvent as WireJobEvent,
  JobUpdate as WireJobUpdate,
  Zone,
} from './wire.generated.ts';

export type { Limits } from './wire.generated.ts';

/** A message with the fields the schema gives it. */
export type Message<T extends keyof Messages> = T extends unknown
  ? { readonly type: T } & Messages[T]
  : never;

/** The connection is authenticated; also the answer to a renewed token. */
export type Connected = Message<'connected'>;
export type Subscribed = Message<'subscribed'>;
export type ErrorReply = Message<'error'>;
/** Answers to commands. */
export type Reply = Message<'connected' | 'auth-error' | 'subscribed' | 'ok' | 'pong' | 'error'>;

/** A durable message: the whole job as it is afterwards. */
interface JobMessage<T extends string> {
  readonly type: T;
  readonly topic: string;
  readonly cursor: string | null;
  readonly job: Job;
}

/** The types of messages that carry the whole job. */
export type WholeJobType = {
  [T in keyof Messages]: Messages[T] extends WireJobEvent ? T : never;
}[keyof Messages];
type ExportEventType = Extract<WholeJobType, `export-${string}`>;

export type PlainJobEvent = JobMessage<
  Exclude<WholeJobType, ExportEventType | 'page-completed' | 'output-stored'>
>;
export type OutputStored = JobMessage<'output-stored'> & { readonly output: Output };
export type PageCompleted = JobMessage<'page-completed'> & { readonly page: Page };
export type ExportEvent = JobMessage<ExportEventType> & { readonly export: Export };

/** The types of messages that carry what changes without an event. */
export type UpdateType = {
  [T in keyof Messages]: Messages[T] extends WireJobUpdate ? T : never;
}[keyof Messages];

/** A transient message: the fields of the job that change without an event. The whole job is in `jobs` of the client. */
interface UpdateMessage<T extends UpdateType> extends Omit<WireJobUpdate, 'coalesced'> {
  readonly type: T;
  /** How many older messages of the same job and type this one replaced. */
  readonly coalesced: number;
}

export type ZoneProcessing = UpdateMessage<'zone-processing'> & { readonly currentZone: Zone };
export type ExportProgress = UpdateMessage<'export-progress'> & { readonly export: Export };
export type JobUpdate =
  | UpdateMessage<Exclude<UpdateType, 'zone-processing' | 'export-progress'>>
  | ZoneProcessing
  | ExportProgress;

/** A zone of a page that is just being finished; `page-completed` follows at once. */
export type ZoneCompleted = Message<'zone-completed'>;
/** The job is gone, with its document and results. */
export type JobDeleted = Message<'job-deleted'>;

/** An event of a job that exists. */
export type ExistingJobEvent =
  | PlainJobEvent
  | ZoneCompleted
  | PageCompleted
  | ExportEvent
  | OutputStored
  | JobUpdate;

/** Something that happened to a job. */
export type JobEvent = ExistingJobEvent | JobDeleted;

/** Whether it is transient: newer ones follow, and it may be left out. */
export const isUpdate = (event: JobEvent): event is JobUpdate => 'coalesced' in event;

export type StateType =
  | 'queue-status'
  | 'system-metrics'
  | 'workers'
  | 'connections'
  | 'audit'
  | 'devices'
  | 'notification';

/** A state as a whole, or a notification: of the topics `queue`, `devices`, `admin` and `notifications`. Read by `service.ts`. */
export interface StateMessage {
  readonly type: StateType;
  readonly topic: string;
  readonly cursor: string | null;
  readonly body: Json;
}

/** Pushes that belong to a topic. */
export type TopicMessage =
  | Message<'snapshot' | 'live' | 'bookmark' | 'gap' | 'stalled' | 'unsubscribed'>
  | StateMessage
  | JobEvent;

export type ServerMessage = Reply | TopicMessage | Message<'auth-expiring' | 'draining' | 'closing'>;
