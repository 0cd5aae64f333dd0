/** The job and its parts as they look on the wire (PROTOCOL.md, section 4). Values that do not apply are `null`. */

export const jobStates = ['queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled'] as const;
/** The state of a job. `succeeded`, `failed` and `cancelled` are the ends, unless someone retries. */
export type JobState = (typeof jobStates)[number];

export const jobStatuses = [
  'queued',
  'retrying',
  'started',
  'progress',
  'cancelling',
  'completed',
  'failed',
  'cancelled',
] as const;
/** A finer word than the state: `retrying` is queued after an attempt, `started` is running but hardly begun. */
export type JobStatus = (typeof jobStatuses)[number];

export const steps = ['queued', 'analyse', 'extract', 'merge', 'export', 'done'] as const;
/** The stage of the pipeline. */
export type Step = (typeof steps)[number];

export const lanes = ['premium', 'normal', 'large'] as const;
/** The line a waiting job stands in. */
export type Lane = (typeof lanes)[number];

export const zoneKinds = [
  'heading',
  'paragraph',
  'list',
  'table',
  'figure',
  'header',
  'footer',
  'scan',
  'unknown',
] as const;
/** What a zone of a page holds. */
export type ZoneKind = (typeof zoneKinds)[number];

export const zoneStatuses = ['processing', 'completed', 'skipped', 'failed'] as const;
/** How the extraction of a zone ended. */
export type ZoneStatus = (typeof zoneStatuses)[number];

export const resultFormats = ['json', 'md', 'txt', 'html'] as const;
/** The format of a result. */
export type ResultFormat = (typeof resultFormats)[number];

export const exportStates = ['started', 'completed', 'failed'] as const;
/** The state of one export. */
export type ExportState = (typeof exportStates)[number];

/** Why something failed: a code for programs and a sentence that says what to do. */
export interface JobError {
  readonly code: string;
  readonly message: string;
  /** Whether trying again can help. */
  readonly retryable: boolean;
}

/** A rectangle on a page, in points (1/72 inch) from the top left corner. */
export interface BoundingBox {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** A region of a page that is extracted as one thing. */
export interface Zone {
  /** Unique within the job, stable over retries. */
  readonly zoneId: string;
  /** Place in the reading order of its page, from 1. */
  readonly index: number;
  /** From 1. */
  readonly page: number;
  readonly boundingBox: BoundingBox | null;
  readonly kind: ZoneKind;
  /** What extracted it, for example `text-layer` or `ocr:tesseract`. */
  readonly tool: string;
  readonly status: ZoneStatus;
  /** 0 (guess) to 1 (certain). */
  readonly confidence: number;
  readonly durationMs: number;
  /** Why it was skipped or failed. */
  readonly note: string | null;
}

/** A finished page, without its zones. */
export interface Page {
  /** From 1. */
  readonly number: number;
  /** In points. */
  readonly width: number;
  /** In points. */
  readonly height: number;
  readonly zoneCount: number;
  readonly durationMs: number;
  readonly warnings: readonly string[];
}

/** One result format of a job. */
export interface Export {
  readonly format: ResultFormat;
  readonly state: ExportState;
  /** 0 to 100. */
  readonly progress: number;
  readonly sizeBytes: number | null;
  readonly sha256: string | null;
  /** A path on the bridge, once completed. */
  readonly url: string | null;
  readonly error: JobError | null;
}

/** An earlier attempt that did not succeed. */
export interface Attempt {
  readonly number: number;
  readonly startTime: string | null;
  readonly endTime: string | null;
  readonly error: JobError | null;
  readonly pagesDone: number;
}

/** A job. The same in snapshots, events and HTTP answers. Spans are seconds, times RFC 3339. */
export interface Job {
  readonly jobId: string;
  readonly documentId: string;
  readonly batchId: string | null;
  readonly owner: string;
  readonly kind: string;
  readonly filename: string;
  readonly documentBytes: number;
  readonly documentSha256: string;
  readonly lane: Lane;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: JobState;
  readonly status: JobStatus;
  /** 0 to 100; never back within an attempt. */
  readonly progress: number;
  readonly step: Step;
  /** One sentence for people. */
  readonly operation: string;
  readonly unitsDone: number;
  readonly unitsTotal: number;
  readonly currentZone: Zone | null;
  readonly zonesCompleted: number;
  readonly zonesTotal: number;
  readonly pagesDone: number;
  readonly pagesTotal: number | null;
  /** How many jobs of its lane are taken up to and with this one: 1 is next. Owners take turns, so it may grow. */
  readonly queuePosition: number | null;
  readonly estimatedWait: number | null;
  readonly estimatedTimeRemaining: number | null;
  readonly elapsed: number | null;
  /** From 1; 0 before the first. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly attempts: readonly Attempt[];
  readonly result: { readonly formats: readonly Export[] } | null;
  readonly error: JobError | null;
  readonly warnings: readonly string[];
  readonly createTime: string;
  readonly startTime: string | null;
  readonly endTime: string | null;
  readonly retryTime: string | null;
  /** When the job is removed; set once it has ended, unless the server keeps everything. */
  readonly expireTime: string | null;
  /** Of the newest durable event. Grows; compare, never compute. */
  readonly revision: number;
  readonly timestamp: string;
}

/** Whether nothing more happens to the job by itself. */
export function isFinished(job: Pick<Job, 'state'>): boolean {
  return job.state === 'succeeded' || job.state === 'failed' || job.state === 'cancelled';
}
