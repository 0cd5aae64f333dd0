// biome-ignore-all format: generated
// biome-ignore-all lint: generated
// biome-ignore-all assist: generated

/**
 * What goes over the wire, made from the bridge's own types. Not to be edited: a test of the bridge compares it,
 * and writes it anew with `COURANT_WRITE_SCHEMAS=1 cargo test -p courant-bridge --features schema --test schemas`.
 */

/** How far a client has come. */
export type Ack = {
  /** The cursor of the last message worked on. */
  readonly cursor: string;
  /** The topic's name, such as `mine` or `job/ID`. */
  readonly topic: string;
};

/** What to follow when it is clear what. */
export type AdminOnly = {
  /** Continue after this cursor. */
  readonly after?: string | null;
  /** Least time between transient messages, in milliseconds. */
  readonly minIntervalMs?: number | null;
};

/** An attempt that did not succeed. */
export type Attempt = {
  readonly endTime: string | null;
  readonly error: (JobError | null);
  readonly number: number;
  readonly pagesDone: number;
  readonly startTime: string | null;
};

/** What was done through this bridge lately. */
export type Audit = {
  readonly cursor: string;
  readonly entries: readonly (Record)[];
  readonly topic: string;
};

/** Proves who the user is. */
export type Auth = {
  /** The device the client runs on; left out: as it was said before, else the connection is a device of its own. */
  readonly device?: (Device | null);
  /** A JWT; left out: the one in the session cookie that came with the handshake. */
  readonly token?: string | null;
};

/** What really happens lies in here in 8 of 10 cases. */
export type Band = {
  readonly high: number;
  readonly low: number;
};

/** The jobs of a batch as one. */
export type Batch = {
  readonly batchId: string;
  readonly complete: boolean;
  readonly createTime: string | null;
  readonly endTime: string | null;
  readonly jobsCancelled: number;
  readonly jobsCancelling: number;
  readonly jobsFailed: number;
  readonly jobsQueued: number;
  readonly jobsRunning: number;
  readonly jobsSucceeded: number;
  readonly jobsTotal: number;
  readonly owner: string;
  readonly pagesDone: number;
  readonly pagesTotal: number;
  readonly progress: number;
  readonly revision: number;
};

/** A batch and where to start watching it. */
export type BatchAnswer = {
  /** The batch as it is now. */
  readonly batch: Batch;
  /** A watch from here misses nothing. */
  readonly cursor?: string | null;
  /** How many jobs were asked to stop by this call. */
  readonly jobsCancelled?: number | null;
};

/** Points from the top left of the page. */
export type BoundingBox = {
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
};

/** One of several bridges. */
export type BridgeLine = {
  readonly bridge: string;
  readonly connectTime: string | null;
  readonly connections: number;
  readonly rooms: number;
  readonly software: string;
  readonly users: number;
};

/** All commands as they are written; for the schema and the examples. `Command::parse` reads them. */
export type ClientMessage = (Auth & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "auth";
} | Subscribe & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "subscribe";
} | Unsubscribe & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "unsubscribe";
} | AdminOnly & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "subscribe-admin";
} | Nothing & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "unsubscribe-admin";
} | Nothing & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "request-system-metrics";
} | MarkRead & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "mark-read";
} | Nothing & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "ping";
} | Ack & {
  /** Chosen by the client; the reply carries it. */
  readonly id?: number;
  readonly type: "ack";
});

/** The connection is about to be closed. */
export type Closing = {
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  readonly retryAfterMs: number;
};

/** Answers an accepted `auth`. */
export type Connected = {
  readonly connectionId: string;
  readonly deviceId: string;
  readonly id?: number | null;
  readonly limits: Limits;
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  readonly roles: readonly (RoleName)[];
  readonly tokenExpiresAt: string;
  readonly user: string;
  readonly version: string;
};

/** Connections and subscriptions of this bridge. */
export type Connections = {
  readonly bridge: string;
  readonly byKind: { readonly [name: string]: number };
  readonly byUser: readonly (Count)[];
  readonly everywhere: (Everywhere | null);
  readonly rooms: readonly (Count)[];
  readonly roomsTotal: number;
  readonly total: number;
  readonly users: number;
};

/** Who is connected to this bridge, by topic. */
export type ConnectionsStatus = {
  readonly connections: Connections;
  readonly cursor: string;
  readonly topic: string;
};

/** How many of something. */
export type Count = {
  readonly connections: number;
  readonly name: string;
};

/** What an audit entry is about. */
export type Deed = ("connected" | "token-refused" | "disconnected" | "limit-refused" | "submitted" | "cancelled" | "retried" | "deleted" | "worker-drained" | "worker-resumed" | "notified" | "admin-read");

/** A job is gone: only its names are left. */
export type Deleted = {
  readonly batchId: string | null;
  readonly cursor?: string | null;
  readonly documentId: string;
  readonly jobId: string;
  readonly owner: string;
  readonly revision: number;
  readonly timestamp: string | null;
  readonly topic: string;
};

/** The device a client runs on, in its words. */
export type Device = {
  /** Names it among the user's devices, the same whenever it connects: 1 to 64 of `[A-Za-z0-9._-]`. */
  readonly id: string;
  /** For people: at most 64 characters. */
  readonly name?: string | null;
};

/** The user's devices that are connected. */
export type Devices = {
  readonly complete: boolean;
  readonly cursor: string;
  readonly devices: readonly (ShownDevice)[];
  readonly topic: string;
};

/** The devices that are connected. */
export type DevicesAnswer = {
  /** Each once, those that have been connected longest first. */
  readonly devices: readonly (ShownDevice)[];
};

/** The bridge is stopping. */
export type Draining = {
  readonly retryAfterMs: number;
};

/** Nothing comes on the topic, for the time being or for good. */
export type Ended = {
  readonly code: string;
  readonly topic: string;
};

/** A command could not be carried out. */
export type ErrorReply = {
  readonly code: string;
  readonly id?: number | null;
  readonly message: string;
  readonly retryAfterMs?: number | null;
  readonly retryable: boolean;
  readonly topic?: string | null;
};

/** The same over all bridges that are registered, and these one by one. */
export type Everywhere = {
  readonly bridges: readonly (BridgeLine)[];
  readonly byKind: { readonly [name: string]: number };
  readonly devices: number;
  readonly rooms: readonly (Count)[];
  readonly total: number;
  readonly users: number;
};

/** The token runs out soon. */
export type Expiring = {
  readonly expiresInMs: number;
  readonly tokenExpiresAt: string;
};

/** One format of the result. */
export type Export = {
  readonly error: (JobError | null);
  readonly format: ResultFormat;
  readonly progress: number;
  readonly sha256: string | null;
  readonly sizeBytes: number | null;
  readonly state: ExportState;
  readonly url: string | null;
};

/** The state of one export. */
export type ExportState = "started" | "completed" | "failed";

/** What is wrong with a field. */
export type FieldProblem = {
  /** The name of the field. */
  readonly field: string;
  /** What is wrong with it. */
  readonly message: string;
};

/** Statistics of the server and its work. */
export type Figures = {
  readonly averageDuration: number | null;
  readonly cpuPercent: number;
  readonly errorRate: number;
  readonly jobs: { readonly [name: string]: number };
  readonly jobsCancelled: number;
  readonly jobsFailed: number;
  readonly jobsSucceeded: number;
  readonly loadAverage: readonly (number)[];
  readonly logRevision: number;
  readonly memoryBytes: number;
  readonly pagesPerHour: number;
  readonly sampleTime: string | null;
  readonly slotsTotal: number;
  readonly slotsUsed: number;
  readonly startTime: string | null;
  readonly throughputPerHour: number;
  readonly version: string;
  readonly watchers: number;
  readonly workersActive: number;
  readonly workersTotal: number;
};

/** The statistics of the service. */
export type FiguresAnswer = {
  /** As they are now. */
  readonly metrics: Figures;
};

/** The topic starts over. */
export type Gap = {
  readonly reason: GapReason;
  readonly topic: string;
};

/** Why a cursor cannot be continued from. */
export type GapReason = "HISTORY_TRIMMED" | "LOG_REPLACED";

/** A job as clients see it. */
export type Job = {
  readonly attempt: number;
  readonly attempts: readonly (Attempt)[];
  readonly batchId: string | null;
  readonly createTime: string | null;
  readonly currentZone: (Zone | null);
  readonly documentBytes: number;
  readonly documentId: string;
  readonly documentSha256: string;
  readonly elapsed: number | null;
  readonly endTime: string | null;
  readonly error: (JobError | null);
  readonly estimatedTimeRemaining: number | null;
  readonly estimatedWait: number | null;
  readonly expireTime: string | null;
  readonly filename: string;
  readonly jobId: string;
  readonly kind: string;
  readonly labels: { readonly [name: string]: string };
  readonly lane: Lane;
  readonly maxAttempts: number;
  readonly operation: string;
  readonly owner: string;
  readonly pagesDone: number;
  readonly pagesTotal: number | null;
  readonly progress: number;
  readonly queuePosition: number | null;
  readonly result: (JobResult | null);
  readonly retryTime: string | null;
  readonly revision: number;
  readonly startTime: string | null;
  readonly state: JobState;
  readonly status: JobStatus;
  readonly step: Step;
  readonly timestamp: string | null;
  readonly unitsDone: number;
  readonly unitsTotal: number;
  readonly warnings: readonly (string)[];
  readonly zonesCompleted: number;
  readonly zonesTotal: number;
};

/** A job and where to start watching it. */
export type JobAnswer = {
  /** A watch from here misses nothing. */
  readonly cursor?: string | null;
  /** The job as it is now. */
  readonly job: Job;
};

/** Why a job or an export failed. */
export type JobError = {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
};

/** Something happened to a job. */
export type JobEvent = {
  readonly attempt: number;
  readonly attempts: readonly (Attempt)[];
  readonly batchId: string | null;
  readonly createTime: string | null;
  readonly currentZone: (Zone | null);
  readonly cursor?: string | null;
  readonly documentBytes: number;
  readonly documentId: string;
  readonly documentSha256: string;
  readonly elapsed: number | null;
  readonly endTime: string | null;
  readonly error: (JobError | null);
  readonly estimatedTimeRemaining: number | null;
  readonly estimatedWait: number | null;
  readonly expireTime: string | null;
  readonly export?: (Export | null);
  readonly filename: string;
  readonly folded?: number | null;
  readonly jobId: string;
  readonly kind: string;
  readonly labels: { readonly [name: string]: string };
  readonly lane: Lane;
  readonly maxAttempts: number;
  readonly operation: string;
  readonly owner: string;
  readonly page?: (Page | null);
  readonly pagesDone: number;
  readonly pagesTotal: number | null;
  readonly progress: number;
  readonly queuePosition: number | null;
  readonly result: (JobResult | null);
  readonly retryTime: string | null;
  readonly revision: number;
  readonly startTime: string | null;
  readonly state: JobState;
  readonly status: JobStatus;
  readonly step: Step;
  readonly timestamp: string | null;
  readonly topic: string;
  readonly unitsDone: number;
  readonly unitsTotal: number;
  readonly warnings: readonly (string)[];
  readonly zone?: (Zone | null);
  readonly zonesCompleted: number;
  readonly zonesTotal: number;
};

/** What a job has made. */
export type JobResult = {
  readonly formats: readonly (Export)[];
};

/** The state of a job. */
export type JobState = "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled";

/** A finer word than the state. */
export type JobStatus = "queued" | "retrying" | "started" | "progress" | "cancelling" | "completed" | "failed" | "cancelled";

/** A page of jobs. */
export type JobsAnswer = {
  /** A watch from here misses nothing. */
  readonly cursor: string;
  /** One page, newest first. */
  readonly jobs: readonly (Job)[];
  /** For the next page. */
  readonly nextPageToken: string | null;
};

/** The line a job stands in. */
export type Lane = "premium" | "normal" | "large";

/** What the bridge allows one connection. */
export type Limits = {
  readonly maxMessageBytes: number;
  readonly maxSubscriptions: number;
  readonly messageBurst: number;
  readonly messagesPerSecond: number;
  readonly outboxBytes: number;
};

/** A place in the log. */
export type Mark = {
  readonly cursor: string;
  readonly topic: string;
};

/** Notifications that were read. */
export type MarkRead = {
  /** Which; all when left out or empty. */
  readonly ids: readonly (string)[];
};

/** What follows a `subscribed`. */
export type Mode = ("resumed" | "snapshot");

/** No fields of its own. */
export type Nothing = object;

/** A notification as its user sees it. */
export type Notification = {
  readonly body: string;
  readonly createTime: string | null;
  readonly id: string;
  readonly jobId: string | null;
  readonly kind: string;
  readonly readTime: string | null;
  readonly severity: Severity;
  readonly title: string;
};

/** A notification that was sent. */
export type NotificationAnswer = {
  /** As it is kept. */
  readonly notification: Notification;
};

/** A notification that is new, or was read. */
export type NotificationEvent = {
  readonly cursor?: string | null;
  readonly notification: Notification;
  readonly topic: string;
  readonly unread: number;
};

/** The newest notifications of the caller. */
export type NotificationsAnswer = {
  /** A subscription from here misses nothing. */
  readonly cursor: string;
  /** At most `pageSize`, newest first. */
  readonly notifications: readonly (Notification)[];
  /** How many are unread, of all that are kept. */
  readonly unread: number;
};

/** A notification to send. */
export type Notify = {
  /** Further text, which may have several lines. */
  readonly body: string;
  /** The job it is about. */
  readonly jobId: string;
  /** Makes the call safe to repeat. */
  readonly requestId: string;
  /** `info`, `success`, `warning`, `error`. */
  readonly severity: string | null;
  /** One line of text. */
  readonly title: string;
  /** The user; everybody when left out. */
  readonly user: string;
};

/** A finished page, without its zones: they came just before it. */
export type Page = {
  readonly durationMs: number;
  readonly height: number;
  readonly number: number;
  readonly warnings: readonly (string)[];
  readonly width: number;
  readonly zoneCount: number;
};

/** What a poll answers with; the bridge writes it piece by piece. */
export type PollAnswer = {
  readonly cursors: { readonly [name: string]: string | null };
  readonly messages: readonly (ServerMessage)[];
};

/** The body of an error. */
export type Problem = {
  /** For programs (`PROTOCOL.md`, section 7). */
  readonly code: string;
  /** What is wrong, for people. */
  readonly detail: string;
  /** What is wrong with which field. */
  readonly errors?: readonly (FieldProblem)[];
  /** Whether trying again can help. */
  readonly retryable: boolean;
  /** The HTTP status code. */
  readonly status: number;
  /** The status in words. */
  readonly title: string;
  /** Names the kind of problem. */
  readonly type: string;
};

/** A subscription to end. */
export type PushEnd = {
  /** As it was added. */
  readonly endpoint: string;
};

/** The key to subscribe with. */
export type PushKeyAnswer = {
  /** `applicationServerKey`, in base64url; `null` where Web Push is off. */
  readonly publicKey: string | null;
};

/** Keys of a browser, in base64url. */
export type PushKeys = {
  /** The browser's authentication secret. */
  readonly auth: string;
  /** The browser's public key on P-256. */
  readonly p256dh: string;
};

/** A subscription, as `PushSubscription.toJSON()` gives it. */
export type PushSubscription = {
  /** An address of the browser's push service. */
  readonly endpoint: string;
  /** When the browser ends it by itself, in milliseconds since 1970; no browser says so today. */
  readonly expirationTime: number | null;
  /** What payloads are encrypted with. */
  readonly keys: PushKeys;
};

/** What waits and who works. */
export type Queue = {
  readonly lanes: readonly (QueueLane)[];
  readonly slotsTotal: number;
  readonly slotsUsed: number;
  readonly unservedKinds: readonly (string)[];
  readonly workersActive: number;
  readonly workersTotal: number;
};

/** The queue as it is. */
export type QueueAnswer = {
  /** The queue as it is now. */
  readonly queue: Queue;
};

/** One lane of one kind of work. */
export type QueueLane = {
  readonly active: number;
  readonly averageWait: number | null;
  readonly delayed: number;
  readonly estimatedWait: number | null;
  readonly estimatedWaitBand: (Band | null);
  readonly kind: string;
  readonly lane: Lane;
  readonly oldestWait: number | null;
  readonly pagesWaiting: number;
  readonly share: number;
  readonly waiting: number;
};

/** The queue as it is. */
export type QueueStatus = {
  readonly cursor: string;
  readonly queue: Queue;
  readonly topic: string;
};

/** What one may submit and has used of it. */
export type Quota = {
  readonly limit: number;
  readonly name: string;
  readonly retryAfter: number | null;
  readonly used: number;
};

/** What one may submit. */
export type QuotaAnswer = {
  /** Those that are on. */
  readonly quotas: readonly (Quota)[];
};

/** Notifications that were read. */
export type Read = {
  /** Which; all when empty. */
  readonly ids: readonly (string)[];
};

/** One entry of the audit log. */
export type Record = {
  readonly address: string | null;
  /** How often, when more than once: refusals alike are one entry. */
  readonly count?: number | null;
  readonly deed: Deed;
  readonly number: number;
  readonly target: string | null;
  readonly time: string;
  readonly user: string | null;
};

/** The token is not accepted, or not any more. */
export type Refusal = {
  readonly code: string;
  readonly id?: number | null;
  readonly message: string;
};

/** An answer that says no more than that. */
export type Reply = {
  readonly id?: number | null;
};

/** The format of a result. */
export type ResultFormat = "json" | "md" | "txt" | "html";

/** The roles as they are written; for the schema alone. */
export type RoleName = "admin" | "service" | "worker" | "bridge";

/** A message to the browser. Replies have an `id`, pushes do not. */
export type ServerMessage = (Connected & {
  readonly type: "connected";
} | Refusal & {
  readonly type: "auth-error";
} | Subscribed & {
  readonly type: "subscribed";
} | Reply & {
  readonly type: "ok";
} | Reply & {
  readonly type: "pong";
} | ErrorReply & {
  readonly type: "error";
} | Snapshot & {
  readonly type: "snapshot";
} | Mark & {
  readonly type: "live";
} | Gap & {
  readonly type: "gap";
} | Mark & {
  readonly type: "bookmark";
} | Ended & {
  readonly type: "stalled";
} | Ended & {
  readonly type: "unsubscribed";
} | Draining & {
  readonly type: "draining";
} | Closing & {
  readonly type: "closing";
} | JobEvent & {
  readonly type: "job-queued";
} | JobEvent & {
  readonly type: "job-started";
} | JobEvent & {
  readonly type: "job-planned";
} | JobEvent & {
  readonly type: "job-progress";
} | JobEvent & {
  readonly type: "zone-processing";
} | ZoneEvent & {
  readonly type: "zone-completed";
} | JobEvent & {
  readonly type: "page-completed";
} | JobEvent & {
  readonly type: "export-started";
} | JobEvent & {
  readonly type: "export-progress";
} | JobEvent & {
  readonly type: "export-completed";
} | JobEvent & {
  readonly type: "export-failed";
} | JobEvent & {
  readonly type: "job-retrying";
} | JobEvent & {
  readonly type: "job-cancelling";
} | JobEvent & {
  readonly type: "job-completed";
} | JobEvent & {
  readonly type: "job-failed";
} | JobEvent & {
  readonly type: "job-cancelled";
} | Deleted & {
  readonly type: "job-deleted";
} | JobEvent & {
  readonly type: "queue-position";
} | QueueStatus & {
  readonly type: "queue-status";
} | SystemMetrics & {
  readonly type: "system-metrics";
} | Workers & {
  readonly type: "workers";
} | ConnectionsStatus & {
  readonly type: "connections";
} | Audit & {
  readonly type: "audit";
} | Devices & {
  readonly type: "devices";
} | Expiring & {
  readonly type: "auth-expiring";
} | NotificationEvent & {
  readonly type: "notification";
});

/** Whose token it is. */
export type SessionAnswer = {
  readonly roles: readonly (RoleName)[];
  readonly tokenExpiresAt: string;
  readonly user: string;
};

/** How serious a notification is. */
export type Severity = "info" | "success" | "warning" | "error";

/** One device that is connected. */
export type ShownDevice = {
  readonly connectTime: string | null;
  readonly connections: number;
  readonly deviceId: string;
  readonly name: string | null;
  readonly transports: readonly (TransportName)[];
};

/** A job as it is. */
export type Snapshot = {
  readonly job: Job;
  readonly topic: string;
};

/** The stage of the pipeline. */
export type Step = "queued" | "analyse" | "extract" | "merge" | "export" | "done";

/** What to follow: one topic, or several at once. */
export type Subscribe = {
  /** Of that one: continue after this cursor. */
  readonly after?: string | null;
  /** Of that one: least time between transient messages, in milliseconds. */
  readonly minIntervalMs?: number | null;
  /** One topic, by its name, such as `mine` or `job/ID`. */
  readonly topic?: string | null;
  /** Instead of `topic`, `after` and `minIntervalMs`: 1 to `limits.maxSubscriptions` topics. Each is answered by itself. */
  readonly topics?: readonly (SubscribeTopic)[] | null;
};

/** One of several topics to follow. */
export type SubscribeTopic = {
  /** Continue after this cursor. */
  readonly after?: string | null;
  /** Least time between transient messages, in milliseconds. */
  readonly minIntervalMs?: number | null;
  /** The topic's name, such as `mine` or `job/ID`. */
  readonly topic: string;
};

/** Answers `subscribe`, once for each topic. */
export type Subscribed = {
  readonly cursor: string | null;
  readonly id?: number | null;
  readonly minIntervalMs: number;
  readonly mode: Mode;
  readonly reason?: (GapReason | null);
  readonly topic: string;
};

/** The statistics as they are: pushed on `admin`, or the reply to `request-system-metrics`. */
export type SystemMetrics = {
  readonly cursor?: string | null;
  readonly id?: number | null;
  readonly metrics: Figures;
  readonly topic?: string | null;
};

/** How a device is connected. */
export type TransportName = "websocket" | "sse" | "polling";

/** How many are left. */
export type UnreadAnswer = {
  /** How many are unread now. */
  readonly unread: number;
};

/** What to follow no more. */
export type Unsubscribe = {
  /** One topic, by its name, such as `mine` or `job/ID`. */
  readonly topic?: string | null;
  /** Instead of `topic`: 1 to `limits.maxSubscriptions` topics. They have one answer. */
  readonly topics?: readonly (string)[] | null;
};

/** A worker and what it works on. */
export type Worker = {
  readonly connected: boolean;
  readonly draining: boolean;
  readonly heardTime: string | null;
  readonly jobs: readonly (WorkerJob)[];
  readonly kinds: readonly (string)[];
  readonly pageDurationMs: number | null;
  readonly pagesDone: number;
  readonly slots: number;
  readonly software: string;
  readonly workerId: string;
};

/** A worker after a call about it. */
export type WorkerAnswer = {
  /** As it is now. */
  readonly worker: Worker;
};

/** A job in a worker's hands. */
export type WorkerJob = {
  readonly attempt: number;
  readonly jobId: string;
  readonly progress: number;
  readonly startTime: string | null;
};

/** All workers as they are. */
export type Workers = {
  readonly cursor: string;
  readonly topic: string;
  readonly workers: readonly (Worker)[];
};

/** All workers that the server knows. */
export type WorkersAnswer = {
  /** In the order of their ids. */
  readonly workers: readonly (Worker)[];
};

/** A zone of a page. */
export type Zone = {
  readonly boundingBox: BoundingBox;
  readonly confidence: number;
  readonly durationMs: number;
  readonly index: number;
  readonly kind: ZoneKind;
  readonly note: string | null;
  readonly page: number;
  readonly status: ZoneStatus;
  readonly tool: string;
  readonly zoneId: string;
};

/** A zone of a page that is about to be announced. Not the whole job: a page may have hundreds. */
export type ZoneEvent = {
  readonly batchId: string | null;
  readonly documentId: string;
  readonly jobId: string;
  readonly progress: number;
  readonly revision: number;
  readonly status: JobStatus;
  readonly step: Step;
  readonly timestamp: string | null;
  readonly topic: string;
  readonly zone: Zone;
  readonly zonesCompleted: number;
  readonly zonesTotal: number;
};

/** What a zone of a page holds. */
export type ZoneKind = "heading" | "paragraph" | "list" | "table" | "figure" | "header" | "footer" | "scan" | "unknown";

/** How the extraction of a zone ended. */
export type ZoneStatus = "processing" | "completed" | "skipped" | "failed";
