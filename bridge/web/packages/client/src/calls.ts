/**
 * The HTTP calls of the bridge (PROTOCOL.md, section 8), loaded when the first one is made. Every failure is a
 * `CourantError`.
 */
import { CourantError, problem } from './errors.ts';
import type { Http } from './http.ts';
import type { Reader } from './read.ts';
import { readJobAnswer, readJobsAnswer, readOutputsAnswer } from './readers.generated.ts';
import { isBusy, retryDelayMs, waitToRetry } from './retry.ts';
import type { JobStore, Older } from './store.ts';
import type { JobAnswer, JobState, JobsAnswer, Output, ResultFormat } from './wire.generated.ts';

export interface ListOptions {
  /** 1 to 1000; 50 when left out. */
  readonly pageSize?: number | undefined;
  /** From the page before; `null` and left out mean the first page. */
  readonly pageToken?: string | null | undefined;
  readonly states?: readonly JobState[] | undefined;
  readonly documentId?: string | undefined;
  readonly batchId?: string | undefined;
  /** `key: value`; jobs that carry all of them. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** For example `lane = LARGE AND create_time > "2026-01-01T00:00:00Z"` (AIP-160). A word alone is looked for in names. */
  readonly filter?: string | undefined;
  /** Somebody else's jobs, for admins; `-` for all. */
  readonly owner?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A page of jobs, and the cursor from where watching them misses nothing. */
export type JobList = JobsAnswer;
/** A job and the cursor from where watching it misses nothing. */
export type JobAndCursor = JobAnswer;

/** What came of a document: what was asked for, or all of it where something on the way knows no ranges. */
export interface DocumentPart {
  /** Its first byte, counted from 0. */
  readonly begin: number;
  readonly blob: Blob;
}

/** A downloaded result. */
export interface ResultFile {
  readonly blob: Blob;
  readonly filename: string;
}

/** Reads a `{job, cursor}` answer. */
export function jobAndCursor(body: string): JobAndCursor {
  return shaped(body, readJobAnswer);
}

function shaped<T>(body: string, read: Reader<T>): T {
  try {
    return read(JSON.parse(body), 'answer');
  } catch (cause) {
    throw new CourantError('BAD_ANSWER', 'the server answered with something else than the protocol says', {
      cause,
    });
  }
}

/** `attachment; filename="a.md"; filename*=UTF-8''%C3%A4.md` → the best of the names. */
export function dispositionName(header: string | null): string | null {
  const extended = /filename\*=(?:utf-8)?''([^;]+)/i.exec(header ?? '')?.[1];
  if (extended) {
    try {
      return decodeURIComponent(extended.trim());
    } catch {
      // Not percent-encoded as it should be: the plain name is left.
    }
  }
  return /filename="?([^";]+)"?/i.exec(header ?? '')?.[1] ?? null;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

const jobPath = (jobId: string): string => `v1/jobs/${encodeURIComponent(jobId)}`;

function listQuery(options: ListOptions): string {
  const query = new URLSearchParams();
  const { documentId, batchId, filter, owner } = options;
  for (const [name, value] of Object.entries({ documentId, batchId, filter, owner })) {
    if (value !== undefined && value !== '') query.set(name, value);
  }
  if (options.pageSize !== undefined) query.set('pageSize', String(options.pageSize));
  if (options.pageToken != null) query.set('pageToken', options.pageToken);
  for (const state of options.states ?? []) query.append('state', state);
  for (const [key, value] of Object.entries(options.labels ?? {})) query.append('label', `${key}:${value}`);
  return query.size > 0 ? `?${query}` : '';
}

export async function list(http: Http, options: ListOptions): Promise<JobList> {
  const response = await call(http, 'GET', `v1/jobs${listQuery(options)}`, options.signal);
  return shaped(await response.text(), readJobsAnswer);
}

/** So many at once; and so many pages at most to find one that is not known yet. */
const olderPageSize = 100;
const mostOlderPages = 10;

/** Loads the next older jobs into the store. */
export function loadOlder(http: Http, jobs: JobStore): Promise<void> {
  const { older } = jobs;
  if (older === null) return Promise.resolve();
  older.loading ??= nextOlder(http, jobs, older).finally(() => {
    older.loading = null;
  });
  return older.loading;
}

async function nextOlder(http: Http, jobs: JobStore, older: Older): Promise<void> {
  const before = jobs.list().length;
  for (let page = 0; page < mostOlderPages && jobs.list().length === before; page += 1) {
    const found = await list(http, { pageSize: olderPageSize, pageToken: older.token });
    for (const job of found.jobs) jobs.put(job);
    older.token = found.nextPageToken;
    // The topic may have restarted meanwhile: then there is another list to go through.
    if (older.token === null && jobs.older === older) jobs.noOlder();
    if (older.token === null) return;
  }
}

export async function get(http: Http, jobId: string, signal?: AbortSignal): Promise<JobAndCursor> {
  return jobAndCursor(await (await call(http, 'GET', jobPath(jobId), signal)).text());
}

export async function act(
  http: Http,
  jobId: string,
  verb: 'cancel' | 'retry',
  body?: object,
): Promise<JobAndCursor> {
  return jobAndCursor(await (await call(http, 'POST', `${jobPath(jobId)}:${verb}`, undefined, body)).text());
}

export async function remove(http: Http, jobId: string): Promise<void> {
  await call(http, 'DELETE', jobPath(jobId));
}

/** What a job has to be read: `results/md`, `pages/7`. */
export async function text(http: Http, jobId: string, what: string, signal?: AbortSignal): Promise<string> {
  return whole((await call(http, 'GET', `${jobPath(jobId)}/${what}`, signal)).text(), signal);
}

export async function document(http: Http, jobId: string, signal?: AbortSignal): Promise<Blob> {
  return whole((await call(http, 'GET', `${jobPath(jobId)}/document`, signal)).blob(), signal);
}

export function documentPart(
  http: Http,
  jobId: string,
  range: readonly [number, number],
  signal?: AbortSignal,
): Promise<DocumentPart> {
  return part(http, `${jobPath(jobId)}/document`, range, signal);
}

async function part(
  http: Http,
  path: string,
  [begin, end]: readonly [number, number],
  signal?: AbortSignal,
): Promise<DocumentPart> {
  const range = { range: `bytes=${begin}-${end - 1}` };
  const response = await call(http, 'GET', path, signal, undefined, range);
  const blob = await whole(response.blob(), signal);
  if (response.status !== 206) return { begin: 0, blob };
  if (blob.size !== end - begin)
    throw new CourantError('BAD_ANSWER', 'another range came than was asked for');
  return { begin, blob };
}

/** The body of an answer; the network may go in its middle. */
function whole<T>(body: Promise<T>, signal?: AbortSignal): Promise<T> {
  return body.catch((cause: unknown) => {
    throw unanswered(cause, signal);
  });
}

function unanswered(cause: unknown, signal?: AbortSignal): CourantError {
  return signal?.aborted
    ? new CourantError('ABORTED', 'stopped', { cause })
    : new CourantError('NETWORK', 'the server cannot be reached', { retryable: true, cause });
}

export async function resultFile(
  http: Http,
  jobId: string,
  format: ResultFormat,
  signal?: AbortSignal,
): Promise<ResultFile> {
  const response = await call(http, 'GET', `${jobPath(jobId)}/results/${format}`, signal);
  const filename = dispositionName(response.headers.get('content-disposition')) ?? `result.${format}`;
  return { blob: await whole(response.blob(), signal), filename };
}

/** All that workers have made of a document so far. */
export async function outputs(http: Http, jobId: string, signal?: AbortSignal): Promise<readonly Output[]> {
  const response = await call(http, 'GET', `${jobPath(jobId)}/outputs`, signal);
  return shaped(await response.text(), readOutputsAnswer).outputs;
}

const outputPath = (jobId: string, name: string): string =>
  `${jobPath(jobId)}/outputs/${encodeURIComponent(name)}`;

export async function output(http: Http, jobId: string, name: string, signal?: AbortSignal): Promise<Blob> {
  return whole((await call(http, 'GET', outputPath(jobId, name), signal)).blob(), signal);
}

export function outputPart(
  http: Http,
  jobId: string,
  name: string,
  range: readonly [number, number],
  signal?: AbortSignal,
): Promise<DocumentPart> {
  return part(http, outputPath(jobId, name), range, signal);
}

/** Any other call of the bridge, answered with JSON (`null` when there is no body). */
export async function request(http: Http, method: Method, path: string, body?: object): Promise<unknown> {
  const text = await (await call(http, method, path, undefined, body)).text();
  return text === '' ? null : shaped(text, (value) => value);
}

/** So often a call is made while the bridge says that it is busy. */
const mostTries = 4;

/** Repeats what was not done: refused for its rate, or where nobody was there and a repeat does no harm. */
async function call(
  http: Http,
  method: Method,
  path: string,
  signal?: AbortSignal,
  json?: object,
  more?: Readonly<Record<string, string>>,
): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await callOnce(http, method, path, signal, json, more);
    } catch (error) {
      // A bridge that is away says for how long; a proxy may have passed a POST on.
      const mayRepeat = isBusy(error) && (error.status === 429 || method !== 'POST');
      const hasRetryAfter = mayRepeat && error.retryAfterMs !== null && tries < mostTries;
      const ms = hasRetryAfter ? retryDelayMs(error, tries) : null;
      if (ms === null) throw error;
      await waitToRetry(ms, signal, true);
      if (signal?.aborted) throw new CourantError('ABORTED', 'stopped', { cause: error });
    }
  }
}

async function callOnce(
  http: Http,
  method: Method,
  path: string,
  signal: AbortSignal | undefined,
  json: object | undefined,
  more: Readonly<Record<string, string>> | undefined,
): Promise<Response> {
  const headers: Record<string, string> = { ...more, authorization: `Bearer ${await http.token()}` };
  const init: RequestInit = { method, headers, signal: signal ?? null };
  if (json !== undefined) {
    headers['content-type'] = 'application/json';
    init.body = JSON.stringify(json);
  }
  let response: Response;
  try {
    response = await http.fetch(http.url(path), init);
  } catch (cause) {
    throw unanswered(cause, signal);
  }
  if (response.ok) return response;
  throw problem(response.status, await response.text(), response.headers.get('retry-after'));
}
