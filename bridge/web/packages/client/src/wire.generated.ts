// biome-ignore-all format: generated
// biome-ignore-all lint: generated
// biome-ignore-all assist: generated

/** What the bridge sends. What it leaves out or what does not apply is `null`. Made by `npm run generate` from `bridge/schema/messages.schema.json`; not to be edited. */

/** Limits of one connection. */
export interface Limits {
  /** Of one message of the client. */
  readonly maxMessageBytes: number;
  /** Topics that may be followed at the same time. */
  readonly maxSubscriptions: number;
  /** How many messages may come at once. `null`: a bridge that takes one topic in a `subscribe`. */
  readonly messageBurst: number | null;
  /** On average. */
  readonly messagesPerSecond: number;
  /** How much may wait for the client before the connection is closed as too slow. */
  readonly outboxBytes: number;
}

/** The roles of a user. */
export type RoleName = 'admin' | 'service' | 'worker' | 'bridge' | (string & {});

/** Answers an accepted `auth`. */
export interface Connected {
  readonly connectionId: string;
  /** As which of the user's devices it is shown. */
  readonly deviceId: string;
  readonly id: number | null;
  readonly limits: Limits;
  /** Send a `ping` so often. */
  readonly pingIntervalMs: number;
  /** When nothing comes for so long after a `ping`, the connection is dead. */
  readonly pongTimeoutMs: number;
  readonly roles: readonly RoleName[];
  /** Renew the token before. */
  readonly tokenExpiresAt: string;
  readonly user: string;
  /** Of the bridge. */
  readonly version: string;
}

/** The token is not accepted, or not any more. */
export interface Refusal {
  readonly code: string;
  readonly id: number | null;
  readonly message: string;
}

export const modes = ['resumed', 'snapshot'] as const;
/** What follows a `subscribed`. */
export type Mode = (typeof modes)[number];

/** Why a cursor cannot be continued from. */
export type GapReason = 'HISTORY_TRIMMED' | 'LOG_REPLACED' | (string & {});

/** Answers `subscribe`, once for each topic. */
export interface Subscribed {
  /** `null`: snapshots follow. */
  readonly cursor: string | null;
  readonly id: number | null;
  /** Least time between two transient messages of a job and type. */
  readonly minIntervalMs: number;
  readonly mode: Mode;
  /** Why a cursor could not be continued from. */
  readonly reason: GapReason | null;
  readonly topic: string;
}

/** An answer that says no more than that. */
export interface Reply {
  readonly id: number | null;
}

/** A command could not be carried out. */
export interface ErrorReply {
  readonly code: string;
  readonly id: number | null;
  readonly message: string;
  readonly retryAfterMs: number | null;
  /** Whether trying again can help. */
  readonly retryable: boolean;
  /** Of a `subscribe` to several topics: which of them was refused; left out: all. */
  readonly topic: string | null;
}

/** Why a job or an export failed. */
export interface JobError {
  /** For programs, such as `DOCUMENT_ENCRYPTED`. */
  readonly code: string;
  /** For people: what is wrong and what to do. */
  readonly message: string;
  /** Whether trying again can help. */
  readonly retryable: boolean;
}

/** An attempt that did not succeed. */
export interface Attempt {
  readonly endTime: string | null;
  readonly error: JobError | null;
  /** From 1. */
  readonly number: number;
  readonly pagesDone: number;
  readonly startTime: string | null;
}

/** A rectangle on a page, in points (1/72 inch) from the top left corner. */
export interface BoundingBox {
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
}

export const zoneKinds = ['heading', 'paragraph', 'list', 'table', 'figure', 'header', 'footer', 'scan', 'unknown'] as const;
/** What a zone of a page holds. */
export type ZoneKind = (typeof zoneKinds)[number];

export const zoneStatuses = ['processing', 'completed', 'skipped', 'failed'] as const;
/** How the extraction of a zone ended. */
export type ZoneStatus = (typeof zoneStatuses)[number];

/** A region of a page that is extracted as one thing. */
export interface Zone {
  readonly boundingBox: BoundingBox;
  /** 0 (guess) to 1 (certain). */
  readonly confidence: number;
  readonly durationMs: number;
  /** The position in the reading order of its page, from 1. */
  readonly index: number;
  readonly kind: ZoneKind;
  /** Why it was skipped or failed. */
  readonly note: string | null;
  /** The number of its page, from 1. */
  readonly page: number;
  readonly status: ZoneStatus;
  /** What extracted it, such as `text-layer` or `ocr:tesseract`. */
  readonly tool: string;
  /** Unique within the job, the same in all attempts. */
  readonly zoneId: string;
}

export const lanes = ['premium', 'normal', 'large'] as const;
/** The lane a job waits in. */
export type Lane = (typeof lanes)[number];

/** Something that a worker has made of the document. */
export interface Output {
  /** The attempt that made it. */
  readonly attempt: number;
  /** As in RFC 9110, such as `text/csv; charset=utf-8`. */
  readonly mediaType: string;
  /** Unique within the job. */
  readonly name: string;
  /** In lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** A path on the bridge. */
  readonly url: string;
}

export const resultFormats = ['json', 'md', 'txt', 'html'] as const;
/** The format of a result. */
export type ResultFormat = (typeof resultFormats)[number];

export const exportStates = ['started', 'completed', 'failed'] as const;
/** The state of one export. */
export type ExportState = (typeof exportStates)[number];

/** One format of the result. */
export interface Export {
  /** Why this format failed; the others are not affected. */
  readonly error: JobError | null;
  readonly format: ResultFormat;
  /** 0 to 100. */
  readonly progress: number;
  /** In lower-case hexadecimal; `null` until it is completed. */
  readonly sha256: string | null;
  /** `null` until it is completed. */
  readonly sizeBytes: number | null;
  readonly state: ExportState;
  /** A path on the bridge; `null` until it is completed. */
  readonly url: string | null;
}

/** What a job has made. */
export interface JobResult {
  readonly formats: readonly Export[];
}

export const jobStates = ['queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled'] as const;
/** The state of a job. `succeeded`, `failed` and `cancelled` are the ends, unless someone retries. */
export type JobState = (typeof jobStates)[number];

export const jobStatuses = ['queued', 'retrying', 'started', 'progress', 'cancelling', 'completed', 'failed', 'cancelled'] as const;
/** A finer word than the state: `retrying` is queued after an attempt, `started` is running but hardly begun. */
export type JobStatus = (typeof jobStatuses)[number];

export const steps = ['queued', 'analyse', 'extract', 'merge', 'export', 'done'] as const;
/** The stage of the pipeline. */
export type Step = (typeof steps)[number];

/** A job, the same in snapshots, events and HTTP answers. Spans are seconds, times RFC 3339; what does not apply is `null`. */
export interface Job {
  /** From 1; 0 before the first. */
  readonly attempt: number;
  /** Attempts that ended without success, oldest first. */
  readonly attempts: readonly Attempt[];
  /** `null`: the job belongs to no batch. */
  readonly batchId: string | null;
  readonly createTime: string;
  /** What a worker is extracting at the moment. */
  readonly currentZone: Zone | null;
  readonly documentBytes: number;
  /** The caller's id of the document, or one the server chose. */
  readonly documentId: string;
  /** Pages in the document: more than `pagesTotal` where only some were asked for. `null` until it has been analysed. */
  readonly documentPages: number | null;
  /** In lower-case hexadecimal. */
  readonly documentSha256: string;
  /** Seconds since its attempt began. */
  readonly elapsed: number | null;
  readonly endTime: string | null;
  /** Why it failed, or why its last attempt did. */
  readonly error: JobError | null;
  /** Seconds until it ends; `null` unless it is running and there is something to go by. */
  readonly estimatedTimeRemaining: number | null;
  /** Seconds until a worker takes it; `null` unless it is queued and there is something to go by. */
  readonly estimatedWait: number | null;
  /** When the job is removed; set once it has ended, unless the server keeps everything. */
  readonly expireTime: string | null;
  /** The document's name as it was submitted. */
  readonly filename: string;
  readonly jobId: string;
  /** What work it is, such as `pdf`: only workers that take this kind get it. */
  readonly kind: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly lane: Lane;
  /** So many attempts in a row may finish no page; then the job fails. */
  readonly maxAttempts: number;
  /** One sentence for people. */
  readonly operation: string;
  /** What else workers have made, in the order in which it was stored. */
  readonly outputs: readonly Output[];
  readonly owner: string;
  readonly pagesDone: number;
  /** `null` until the document has been analysed. */
  readonly pagesTotal: number | null;
  /** What the workers are to do: the object that was submitted. `null` for none; and, but for the answer to a request for this job, where `parametersBytes` is over 2048. */
  readonly parameters: Readonly<Record<string, unknown>> | null;
  /** The size of the parameters as they were submitted; 0 for none. */
  readonly parametersBytes: number;
  /** 0 to 100, with one decimal; never goes back within an attempt. */
  readonly progress: number;
  /** How many jobs of its lane are taken up to and with this one: 1 is next. Owners take turns, so it may grow. */
  readonly queuePosition: number | null;
  /** `null` until the first export began. */
  readonly result: JobResult | null;
  /** No attempt begins before. */
  readonly retryTime: string | null;
  /** Of the newest durable event. Grows, with gaps; compare, never compute. */
  readonly revision: number;
  readonly startTime: string | null;
  /** Where the job is in its life. `succeeded`, `failed` and `cancelled` are the ends, unless someone retries. */
  readonly state: JobState;
  /** A finer word that follows from the job. */
  readonly status: JobStatus;
  readonly step: Step;
  /** When the event happened; of a job alone, when its state last changed. */
  readonly timestamp: string;
  /** In the units of the step: pages, or exports. */
  readonly unitsDone: number;
  /** In the units of the step; 0 when it is not known. */
  readonly unitsTotal: number;
  /** Sentences for people: what is wrong with the result. */
  readonly warnings: readonly string[];
  readonly zonesCompleted: number;
  readonly zonesTotal: number;
}

/** A job as it is. */
export interface Snapshot {
  readonly job: Job;
  readonly topic: string;
}

/** A place in the log. */
export interface Mark {
  readonly cursor: string;
  readonly topic: string;
}

/** The topic starts over. */
export interface Gap {
  readonly reason: GapReason;
  readonly topic: string;
}

/** Nothing comes on the topic, for the time being or for good. */
export interface Ended {
  readonly code: string;
  readonly topic: string;
}

/** The bridge is stopping. */
export interface Draining {
  readonly retryAfterMs: number;
}

/** The connection is about to be closed. */
export interface Closing {
  /** The WebSocket close code. */
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  /** Wait so long before connecting again. */
  readonly retryAfterMs: number;
}

/** A finished page, without its zones: they came just before it. */
export interface Page {
  readonly durationMs: number;
  /** In points. */
  readonly height: number;
  /** From 1. */
  readonly number: number;
  /** Sentences for people. */
  readonly warnings: readonly string[];
  /** In points. */
  readonly width: number;
  readonly zoneCount: number;
}

/** Something durable happened to a job: the whole job as it is afterwards. */
export interface JobEvent extends Job {
  readonly cursor: string | null;
  readonly export: Export | null;
  readonly output: Output | null;
  readonly page: Page | null;
  readonly topic: string;
}

/** The fields of a job that change without an event, all of them; what does not apply is `null`. All others are as the event or snapshot of this `revision` said. */
export interface JobUpdate {
  /** From 1; 0 before the first. */
  readonly attempt: number;
  /** How many older messages of the same job and type this one replaced; left out: none. */
  readonly coalesced: number | null;
  /** What a worker is extracting at the moment; in `zone-processing` always the zone that it is about. */
  readonly currentZone: Zone | null;
  /** Seconds since its attempt began. */
  readonly elapsed: number | null;
  /** Seconds until it ends; `null` unless it is running and there is something to go by. */
  readonly estimatedTimeRemaining: number | null;
  /** Seconds until a worker takes it; `null` unless it is queued and there is something to go by. */
  readonly estimatedWait: number | null;
  /** `export-progress` only: the format that is being written. */
  readonly export: Export | null;
  readonly jobId: string;
  /** One sentence for people. */
  readonly operation: string;
  /** 0 to 100, with one decimal; never goes back within an attempt. */
  readonly progress: number;
  /** How many jobs of its lane are taken up to and with this one: 1 is next. Owners take turns, so it may grow. */
  readonly queuePosition: number | null;
  /** Of the job's newest durable event when this was made: to a job with a greater one this is old. */
  readonly revision: number;
  readonly status: JobStatus;
  readonly step: Step;
  readonly timestamp: string;
  readonly topic: string;
  /** In the units of the step: pages, or exports. */
  readonly unitsDone: number;
  /** In the units of the step; 0 when it is not known. */
  readonly unitsTotal: number;
  readonly zonesCompleted: number;
  readonly zonesTotal: number;
}

/** A zone of a page that is about to be announced. Not the whole job: a page may have hundreds. */
export interface ZoneEvent {
  readonly batchId: string | null;
  readonly documentId: string;
  readonly jobId: string;
  /** 0 to 100. */
  readonly progress: number;
  readonly revision: number;
  readonly status: JobStatus;
  readonly step: Step;
  readonly timestamp: string | null;
  readonly topic: string;
  readonly zone: Zone;
  readonly zonesCompleted: number;
  readonly zonesTotal: number;
}

/** A job is gone: only its names are left. */
export interface Deleted {
  readonly batchId: string | null;
  readonly cursor: string | null;
  readonly documentId: string;
  readonly jobId: string;
  readonly owner: string;
  readonly revision: number;
  readonly timestamp: string | null;
  readonly topic: string;
}

/** The range an estimate had in 8 of 10 cases. */
export interface Band {
  /** In seconds. */
  readonly high: number;
  /** In seconds. */
  readonly low: number;
}

/** One lane of one kind of work. Spans are seconds. */
export interface QueueLane {
  readonly active: number;
  /** How long jobs waited lately; `null` until there is something to go by. */
  readonly averageWait: number | null;
  /** Of those that wait: how many wait for the time of their next attempt. */
  readonly delayed: number;
  /** How long a job that came now would wait at most; `null` until there is something to go by. */
  readonly estimatedWait: number | null;
  /** The range of that estimate. */
  readonly estimatedWaitBand: Band | null;
  readonly kind: string;
  /** `premium`, `normal` or `large`. */
  readonly lane: string;
  /** How long the job has waited that waits longest; `null` when none does. */
  readonly oldestWait: number | null;
  /** Pages of the jobs that wait, as far as they are known. */
  readonly pagesWaiting: number;
  /** The lane's part of the service while all lanes have jobs waiting, 0 to 1. */
  readonly share: number;
  readonly waiting: number;
}

/** What waits and who works. */
export interface Queue {
  readonly lanes: readonly QueueLane[];
  readonly slotsTotal: number;
  readonly slotsUsed: number;
  /** Kinds of work that jobs wait for and no connected worker takes. */
  readonly unservedKinds: readonly string[];
  readonly workersActive: number;
  readonly workersTotal: number;
}

/** The queue as it is. */
export interface QueueStatus {
  readonly cursor: string;
  readonly queue: Queue;
  readonly topic: string;
}

/** Statistics of the server and its work. Spans are seconds. */
export interface Statistics {
  /** Seconds from start to end; `null` before the first job ended. */
  readonly averageDuration: number | null;
  /** In percent of one CPU core; more than 100 when the server uses several cores. */
  readonly cpuPercent: number;
  /** Of the jobs that ended within the last hour, 0 to 1. */
  readonly errorRate: number;
  /** How many jobs there are, by state. */
  readonly jobs: Readonly<Record<string, number>>;
  /** Since the server started. */
  readonly jobsCancelled: number;
  /** Since the server started. */
  readonly jobsFailed: number;
  /** Since the server started. */
  readonly jobsSucceeded: number;
  /** Of the server's machine over 1, 5 and 15 minutes. */
  readonly loadAverage: readonly number[];
  /** The newest revision in the log. */
  readonly logRevision: number;
  /** Resident memory of the server. */
  readonly memoryBytes: number;
  readonly pagesPerHour: number;
  /** When they were taken. */
  readonly sampleTime: string | null;
  readonly slotsTotal: number;
  readonly slotsUsed: number;
  /** When the server started. */
  readonly startTime: string | null;
  /** Jobs that ended within the last hour. */
  readonly throughputPerHour: number;
  readonly version: string;
  /** Streams that follow jobs. */
  readonly watchers: number;
  readonly workersActive: number;
  readonly workersTotal: number;
}

/** The statistics as they are: pushed on `admin`, or the reply to `request-system-metrics`. */
export interface SystemMetrics {
  readonly cursor: string | null;
  readonly id: number | null;
  readonly metrics: Statistics;
  readonly topic: string | null;
}

/** A job in a worker's hands. */
export interface WorkerJob {
  /** From 1. */
  readonly attempt: number;
  readonly jobId: string;
  /** 0 to 100. */
  readonly progress: number;
  readonly startTime: string | null;
}

/** A worker and what it works on. */
export interface Worker {
  readonly connected: boolean;
  /** It gets no new jobs. */
  readonly draining: boolean;
  readonly jobs: readonly WorkerJob[];
  /** Kinds of work it takes. */
  readonly kinds: readonly string[];
  /** When the last message of it came. */
  readonly lastSeenTime: string | null;
  /** How long a page took lately; `null` before the first. */
  readonly pageDurationMs: number | null;
  /** Since it connected. */
  readonly pagesDone: number;
  /** How many jobs it works on at the same time. */
  readonly slots: number;
  readonly software: string;
  readonly workerId: string;
}

/** All workers as they are. */
export interface Workers {
  readonly cursor: string;
  readonly topic: string;
  readonly workers: readonly Worker[];
}

/** One of several bridges. */
export interface BridgeConnections {
  readonly bridge: string;
  readonly connectTime: string | null;
  readonly connections: number;
  readonly software: string;
  /** Topics with subscribers. */
  readonly topics: number;
  readonly users: number;
}

/** How many of something. */
export interface Count {
  /** Of a topic: subscriptions. */
  readonly connections: number;
  /** Of a user or a topic. */
  readonly name: string;
}

/** Connections and subscriptions of all bridges that are registered with the server. */
export interface AllBridges {
  /** Oldest first. */
  readonly bridges: readonly BridgeConnections[];
  /** Subscriptions by kind of topic. */
  readonly byKind: Readonly<Record<string, number>>;
  /** Each once. */
  readonly devices: number;
  /** The 50 topics with the most subscriptions, of each bridge's 200. */
  readonly topics: readonly Count[];
  readonly total: number;
  /** Each once. */
  readonly users: number;
}

/** Connections and subscriptions of this bridge. */
export interface Connections {
  /** Over all bridges; `null` until the server has sent it. */
  readonly allBridges: AllBridges | null;
  /** Names the bridge until it stops. */
  readonly bridge: string;
  /** Subscriptions by kind of topic, such as `mine` or `job`. */
  readonly byKind: Readonly<Record<string, number>>;
  /** The 50 users with the most connections. */
  readonly byUser: readonly Count[];
  /** The 50 topics with the most subscriptions. */
  readonly topics: readonly Count[];
  /** Topics with subscribers. */
  readonly topicsTotal: number;
  /** All connections. */
  readonly total: number;
  /** Different users of them. */
  readonly users: number;
}

/** Who is connected to this bridge, by topic. */
export interface ConnectionsStatus {
  readonly connections: Connections;
  readonly cursor: string;
  readonly topic: string;
}

/** What an audit entry is about. */
export type AuditAction = 'connected' | 'token-refused' | 'disconnected' | 'limit-refused' | 'submitted' | 'cancelled' | 'retried' | 'deleted' | 'worker-drained' | 'worker-resumed' | 'notified' | 'admin-read' | 'topic-followed' | 'other' | (string & {});

/** One entry of the audit log. */
export interface AuditEntry {
  readonly action: AuditAction;
  /** Where the request came from. */
  readonly address: string | null;
  /** How it ended, as gRPC names it. Left out when it ended well. */
  readonly code: string | null;
  /** How often: refusals that are alike are one entry. Left out when it is 1. */
  readonly count: number | null;
  /** Grows with each entry of one audit log. */
  readonly number: number;
  /** A connection, job, batch, worker or user. */
  readonly target: string | null;
  readonly time: string;
  /** `null` where nobody was recognised. */
  readonly user: string | null;
}

/** What was done through this bridge lately. */
export interface Audit {
  readonly cursor: string;
  readonly entries: readonly AuditEntry[];
  readonly topic: string;
}

export const transportNames = ['websocket', 'sse', 'polling'] as const;
/** How a device is connected. */
export type TransportName = (typeof transportNames)[number];

/** One device of the user that is connected. */
export interface ShownDevice {
  /** Since when it has been connected without a break. */
  readonly connectTime: string | null;
  /** Pages and programs that are open on it. */
  readonly connections: number;
  readonly deviceId: string;
  /** As the device calls itself; `null` when it did not. */
  readonly name: string | null;
  readonly transports: readonly TransportName[];
}

/** The user's devices that are connected. */
export interface Devices {
  /** `false`: those connected to other bridges are not known at the moment. */
  readonly complete: boolean;
  readonly cursor: string;
  /** Those that have been connected longest first. */
  readonly devices: readonly ShownDevice[];
  readonly topic: string;
}

/** The token runs out soon. */
export interface Expiring {
  readonly expiresInMs: number;
  readonly tokenExpiresAt: string;
}

export const severities = ['info', 'success', 'warning', 'error'] as const;
/** How serious a notification is. */
export type Severity = (typeof severities)[number];

/** A notification as its user sees it. */
export interface Notification {
  /** Further text, which may have several lines; may be empty. */
  readonly body: string;
  readonly createTime: string;
  readonly id: string;
  /** The job it is about. */
  readonly jobId: string | null;
  /** `job-succeeded`, `job-failed`, or `message`: from an operator or a service. */
  readonly kind: string;
  /** `null`: unread on every device. */
  readonly readTime: string | null;
  readonly severity: Severity;
  /** One line. */
  readonly title: string;
}

/** A notification that is new, or was read. */
export interface NotificationEvent {
  readonly cursor: string | null;
  readonly notification: Notification;
  readonly topic: string;
  /** How many are unread now. */
  readonly unread: number;
}

/** A job and where to start watching it. */
export interface JobAnswer {
  /** A watch from here misses nothing. */
  readonly cursor: string | null;
  /** The job as it is now. */
  readonly job: Job;
}

/** A page of jobs. */
export interface JobsAnswer {
  /** A watch from here misses nothing. */
  readonly cursor: string;
  /** One page, newest first. */
  readonly jobs: readonly Job[];
  /** For the next page. */
  readonly nextPageToken: string | null;
}

/** All outputs of a job, those of exports first. */
export interface OutputsAnswer {
  /** In the order in which they were stored. */
  readonly outputs: readonly Output[];
}

/** The jobs of a batch as one. */
export interface Batch {
  readonly batchId: string;
  /** All jobs have come and ended. */
  readonly complete: boolean;
  readonly createTime: string | null;
  readonly endTime: string | null;
  readonly jobsCancelled: number;
  readonly jobsCancelling: number;
  readonly jobsFailed: number;
  readonly jobsQueued: number;
  readonly jobsRunning: number;
  readonly jobsSucceeded: number;
  /** As many as were announced, or have come. */
  readonly jobsTotal: number;
  readonly owner: string;
  readonly pagesDone: number;
  /** As far as they are known. */
  readonly pagesTotal: number;
  /** 0 to 100. */
  readonly progress: number;
  /** Of the newest event of its jobs. */
  readonly revision: number;
}

/** A batch and where to start watching it. */
export interface BatchAnswer {
  /** The batch as it is now. */
  readonly batch: Batch;
  /** A watch from here misses nothing. */
  readonly cursor: string | null;
  /** How many jobs were asked to stop by this call. */
  readonly jobsCancelled: number | null;
}

/** What one may submit and has used of it. */
export interface Quota {
  /** `used` may be as large as this. */
  readonly limit: number;
  /** Such as `jobs-waiting`. */
  readonly name: string;
  /** Seconds until more may be used; `null` when it may be now. */
  readonly retryAfter: number | null;
  readonly used: number;
}

/** What one may submit. */
export interface QuotaAnswer {
  /** Those that are on. */
  readonly quotas: readonly Quota[];
}

/** An endpoint that events of one's jobs are sent to. */
export interface Webhook {
  readonly createTime: string;
  /** Up to here everything was sent or given up, but of jobs that wait. */
  readonly cursor: string;
  /** For people; may be empty. */
  readonly description: string;
  /** Why the server switched it off. */
  readonly disableReason: string | null;
  readonly disableTime: string | null;
  /** `job.queued`, `job.started`, `job.retrying`, `job.succeeded`, `job.failed`, `job.cancelled`. */
  readonly events: readonly string[];
  readonly eventsDelivered: number;
  readonly eventsGivenUp: number;
  /** Since when every attempt has failed; `null` while attempts succeed. */
  readonly failingSince: string | null;
  /** Jobs of which something waits to be sent again. */
  readonly jobsWaiting: number;
  /** Until when the secret before the last one signs as well. */
  readonly oldSecretExpireTime: string | null;
  /** `enabled`; `disabled` by its owner; `switched-off` by the server, because it failed for too long. */
  readonly state: string;
  /** Empty for the webhook of jobs' callbacks, of which each job has its own. */
  readonly url: string;
  readonly webhookId: string;
}

/** All webhooks of the caller. */
export interface WebhooksAnswer {
  /** Oldest first. */
  readonly webhooks: readonly Webhook[];
}

/** A webhook. */
export interface WebhookAnswer {
  /** Of a replay: some of what happened after the cursor is not kept any more. */
  readonly historyTrimmed: boolean | null;
  /** What signs, `whsec_…`. Shown this once, when it was made. */
  readonly secret: string | null;
  /** As it is now. */
  readonly webhook: Webhook;
}

/** One attempt to send. */
export interface WebhookDelivery {
  /** Which attempt to send this event it was, from 1. */
  readonly attempt: number;
  /** Seconds until the answer. */
  readonly duration: number | null;
  /** What went wrong; `null` when it was received. */
  readonly error: string | null;
  /** It is not tried again. */
  readonly givenUp: boolean;
  /** `null` when there was no answer. */
  readonly httpStatus: number | null;
  readonly jobId: string | null;
  /** The `webhook-id`: the same in all attempts to send one event. */
  readonly messageId: string;
  readonly sendTime: string;
  /** The type of the event, as `courant.job.succeeded`. */
  readonly type: string;
}

/** What became of a test. */
export interface WebhookTestAnswer {
  /** Its `error` is `null` when it was received. */
  readonly delivery: WebhookDelivery;
}

/** The last attempts to send. */
export interface WebhookDeliveriesAnswer {
  /** Newest first, at most 50. */
  readonly deliveries: readonly WebhookDelivery[];
}

/** The messages by their `type`, with their other fields. */
export interface Messages {
  readonly 'connected': Connected;
  readonly 'auth-error': Refusal;
  readonly 'subscribed': Subscribed;
  readonly 'ok': Reply;
  readonly 'pong': Reply;
  readonly 'error': ErrorReply;
  readonly 'snapshot': Snapshot;
  readonly 'live': Mark;
  readonly 'gap': Gap;
  readonly 'bookmark': Mark;
  readonly 'stalled': Ended;
  readonly 'unsubscribed': Ended;
  readonly 'draining': Draining;
  readonly 'closing': Closing;
  readonly 'job-queued': JobEvent;
  readonly 'job-started': JobEvent;
  readonly 'job-planned': JobEvent;
  readonly 'job-progress': JobUpdate;
  readonly 'zone-processing': JobUpdate;
  readonly 'zone-completed': ZoneEvent;
  readonly 'page-completed': JobEvent;
  readonly 'export-started': JobEvent;
  readonly 'export-progress': JobUpdate;
  readonly 'export-completed': JobEvent;
  readonly 'export-failed': JobEvent;
  readonly 'output-stored': JobEvent;
  readonly 'job-retrying': JobEvent;
  readonly 'job-cancelling': JobEvent;
  readonly 'job-completed': JobEvent;
  readonly 'job-failed': JobEvent;
  readonly 'job-cancelled': JobEvent;
  readonly 'job-deleted': Deleted;
  readonly 'queue-position': JobUpdate;
  readonly 'queue-status': QueueStatus;
  readonly 'system-metrics': SystemMetrics;
  readonly 'workers': Workers;
  readonly 'connections': ConnectionsStatus;
  readonly 'audit': Audit;
  readonly 'devices': Devices;
  readonly 'auth-expiring': Expiring;
  readonly 'notification': NotificationEvent;
}
