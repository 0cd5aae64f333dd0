/** The job and its parts, checked as they come in. */
import * as read from './read.ts';
import {
  type Attempt,
  type BoundingBox,
  type Export,
  exportStates,
  type Job,
  type JobError,
  jobStates,
  jobStatuses,
  lanes,
  type Page,
  resultFormats,
  steps,
  type Zone,
  zoneKinds,
  zoneStatuses,
} from './types.ts';
import type * as wire from './wire.generated.ts';

function error(from: read.Raw<wire.JobError>): JobError {
  return {
    code: read.text(from, 'code'),
    message: read.text(from, 'message'),
    retryable: read.flag(from, 'retryable'),
  };
}

function box(from: read.Raw<wire.BoundingBox>): BoundingBox {
  return {
    x0: read.number(from, 'x0'),
    y0: read.number(from, 'y0'),
    x1: read.number(from, 'x1'),
    y1: read.number(from, 'y1'),
  };
}

export function zone(from: read.Raw<wire.Zone>): Zone {
  return {
    zoneId: read.text(from, 'zoneId'),
    index: read.number(from, 'index'),
    page: read.number(from, 'page'),
    boundingBox: read.optional(from, 'boundingBox', box),
    kind: read.word(from, 'kind', zoneKinds, 'unknown'),
    tool: read.textOrNull(from, 'tool') ?? '',
    status: read.word(from, 'status', zoneStatuses, 'processing'),
    confidence: read.numberOr(from, 'confidence', 0),
    durationMs: read.numberOr(from, 'durationMs', 0),
    note: read.textOrNull(from, 'note'),
  };
}

export function page(from: read.Raw<wire.Page>): Page {
  return {
    number: read.number(from, 'number'),
    width: read.numberOr(from, 'width', 0),
    height: read.numberOr(from, 'height', 0),
    zoneCount: read.numberOr(from, 'zoneCount', 0),
    durationMs: read.numberOr(from, 'durationMs', 0),
    warnings: read.list(from, 'warnings', read.string),
  };
}

export function exported(from: read.Raw<wire.Export>): Export {
  return {
    format: read.exactWord(from, 'format', resultFormats),
    state: read.exactWord(from, 'state', exportStates),
    progress: read.numberOr(from, 'progress', 0),
    sizeBytes: read.numberOrNull(from, 'sizeBytes'),
    sha256: read.textOrNull(from, 'sha256'),
    url: read.textOrNull(from, 'url'),
    error: read.optional(from, 'error', error),
  };
}

/** Exports of formats this version does not know are left out, so that a newer bridge does not hide the others. */
function exports(from: read.Raw<wire.JobResult>): { readonly formats: readonly Export[] } {
  const known = read.list(
    from,
    'formats',
    read.each((item: read.Raw<wire.Export>) => {
      try {
        return exported(item);
      } catch (cause) {
        if (cause instanceof read.ShapeError) return null;
        throw cause;
      }
    }),
  );
  return { formats: known.filter((item) => item !== null) };
}

const attempt = read.each(
  (from: read.Raw<wire.Attempt>): Attempt => ({
    number: read.number(from, 'number'),
    startTime: read.textOrNull(from, 'startTime'),
    endTime: read.textOrNull(from, 'endTime'),
    error: read.optional(from, 'error', error),
    pagesDone: read.numberOr(from, 'pagesDone', 0),
  }),
);

function labels(value: unknown): Readonly<Record<string, string>> {
  if (!read.isObject(value)) return {};
  const entries = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(entries);
}

/** A job; throws `ShapeError` when it is none. */
export function job(from: read.Raw<wire.Job>): Job {
  return {
    jobId: read.text(from, 'jobId'),
    documentId: read.text(from, 'documentId'),
    batchId: read.textOrNull(from, 'batchId'),
    owner: read.text(from, 'owner'),
    kind: read.text(from, 'kind'),
    filename: read.text(from, 'filename'),
    documentBytes: read.number(from, 'documentBytes'),
    documentSha256: read.text(from, 'documentSha256'),
    lane: read.word(from, 'lane', lanes, 'normal'),
    labels: labels(from['labels']),
    state: read.exactWord(from, 'state', jobStates),
    status: read.exactWord(from, 'status', jobStatuses),
    progress: Math.min(100, Math.max(0, read.number(from, 'progress'))),
    step: read.word(from, 'step', steps, 'extract'),
    operation: read.textOrNull(from, 'operation') ?? '',
    unitsDone: read.numberOr(from, 'unitsDone', 0),
    unitsTotal: read.numberOr(from, 'unitsTotal', 0),
    currentZone: read.optional(from, 'currentZone', zone),
    zonesCompleted: read.numberOr(from, 'zonesCompleted', 0),
    zonesTotal: read.numberOr(from, 'zonesTotal', 0),
    pagesDone: read.numberOr(from, 'pagesDone', 0),
    pagesTotal: read.numberOrNull(from, 'pagesTotal'),
    queuePosition: read.numberOrNull(from, 'queuePosition'),
    estimatedWait: read.numberOrNull(from, 'estimatedWait'),
    estimatedTimeRemaining: read.numberOrNull(from, 'estimatedTimeRemaining'),
    elapsed: read.numberOrNull(from, 'elapsed'),
    attempt: read.numberOr(from, 'attempt', 0),
    maxAttempts: read.numberOr(from, 'maxAttempts', 0),
    attempts: read.list(from, 'attempts', attempt),
    result: read.optional(from, 'result', exports),
    error: read.optional(from, 'error', error),
    warnings: read.list(from, 'warnings', read.string),
    createTime: read.given(from, 'createTime'),
    startTime: read.textOrNull(from, 'startTime'),
    endTime: read.textOrNull(from, 'endTime'),
    retryTime: read.textOrNull(from, 'retryTime'),
    expireTime: read.textOrNull(from, 'expireTime'),
    revision: read.number(from, 'revision'),
    timestamp: read.given(from, 'timestamp'),
  };
}
