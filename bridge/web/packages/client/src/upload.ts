/** Submitting a document: a small one in one request, a large one so that it goes on after a cut. */

import { type JobAndCursor, jobAndCursor } from './calls.ts';
import type { Cursors } from './cursors.ts';
import { CourantError, problem } from './errors.ts';
import type { Http } from './http.ts';
import { newRequestId } from './request-id.ts';
import { resumable } from './resumable.ts';
import { isBusy, retryDelayMs, waitToRetry } from './retry.ts';
import { type Sending, send } from './transfer.ts';
import type { Lane, ResultFormat } from './types.ts';

export interface SubmitOptions {
  /** The document's name; that of the `File` when left out. */
  readonly name?: string | undefined;
  /** Makes the call safe to repeat; made up when left out. */
  readonly requestId?: string | undefined;
  readonly documentId?: string | undefined;
  readonly batchId?: string | undefined;
  /** How many jobs the batch will have; it is complete when all of them are. */
  readonly batchSize?: number | undefined;
  /** What work it is; `pdf` when left out. */
  readonly kind?: string | undefined;
  readonly lane?: Lane | undefined;
  /** All when left out. */
  readonly formats?: readonly ResultFormat[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** What the workers are to do; at most 64 KiB as JSON. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  /** A URL to which the job's end is sent, signed with the secret of the webhook `callback`. */
  readonly callback?: string | undefined;
  /** 0 to 1 of the bytes sent. Goes back after a cut when some of them did not arrive. */
  readonly onProgress?: ((sent: number) => void) | undefined;
  /** Whether it waits to be sent, or sent on: the network or the bridge is away, or the bridge is busy and sent a `Retry-After`. */
  readonly onWaiting?: ((waits: boolean) => void) | undefined;
  /** Gives it up; with the reason `later` what has arrived is kept for the same request id. */
  readonly signal?: AbortSignal | undefined;
}

/** Longer ones, in characters, are sent as a form: addresses are limited on the way. */
const mostParametersInUrl = 2048;

/** So often a small document is sent while the bridge says that it is busy. */
const mostTries = 10;

/** What is to be done when the document is a job. */
type Named = SubmitOptions & { readonly done?: () => void };

function query(document: Blob, options: SubmitOptions): URLSearchParams {
  const name = options.name ?? ('name' in document ? String(document.name) : 'document');
  const query = new URLSearchParams({ name, requestId: options.requestId ?? newRequestId() });
  if (options.documentId !== undefined) query.set('documentId', options.documentId);
  if (options.batchId !== undefined) query.set('batchId', options.batchId);
  if (options.batchSize !== undefined) query.set('batchSize', String(options.batchSize));
  if (options.kind !== undefined) query.set('kind', options.kind);
  if (options.lane !== undefined) query.set('lane', options.lane);
  if (options.formats !== undefined) query.set('formats', options.formats.join(','));
  if (options.callback !== undefined) query.set('callback', options.callback);
  if (options.parameters !== undefined) query.set('parameters', JSON.stringify(options.parameters));
  for (const [key, value] of Object.entries(options.labels ?? {})) query.append('label', `${key}:${value}`);
  return query;
}

/** Submits a document; resolves when it is stored and queued. */
export async function submit(http: Http, document: Blob, options: Named = {}): Promise<JobAndCursor> {
  options.signal?.throwIfAborted();
  const isLarge = document.size >= http.resumableFrom;
  const uploaded = isLarge ? await resumable(http, document, query(document, options), options) : null;
  const submitted = uploaded ?? (await inOneGo(http, document, options));
  // The same file given again is another document from now on.
  options.done?.();
  return submitted;
}

/** The document as the body and all else in the address; or a form, for what is too long for one. */
function requestOf(
  http: Http,
  document: Blob,
  fields: URLSearchParams,
): Pick<Sending, 'url' | 'headers' | 'body'> {
  if ((fields.get('parameters')?.length ?? 0) <= mostParametersInUrl) {
    const headers = { 'content-type': 'application/pdf' };
    return { url: http.url(`v1/jobs?${fields}`), headers, body: document };
  }
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value);
  // The last part.
  form.append('file', document, fields.get('name') ?? 'document');
  return { url: http.url('v1/jobs'), headers: {}, body: form };
}

/** Waits when the bridge says that it is busy; the request id makes it safe to send again. */
async function inOneGo(http: Http, document: Blob, options: SubmitOptions): Promise<JobAndCursor> {
  const { onProgress, onWaiting, signal } = options;
  const request = requestOf(http, document, query(document, options));
  for (let tries = 1; ; tries += 1) {
    const answer = await send(http, {
      method: 'POST',
      ...request,
      onSent: (bytes) => document.size > 0 && onProgress?.(Math.min(1, bytes / document.size)),
      signal,
    });
    if (answer.status >= 200 && answer.status <= 299) return jobAndCursor(answer.body);
    const error = problem(answer.status, answer.body, answer.header('retry-after'));
    const hasRetryAfter = error.retryAfterMs !== null;
    const wait = isBusy(error) && (hasRetryAfter || error.code === 'TOO_MANY') && tries < mostTries;
    const ms = wait ? retryDelayMs(error, tries) : null;
    if (ms === null) throw error;
    // All of it goes again.
    onProgress?.(0);
    onWaiting?.(true);
    await waitToRetry(ms, signal, hasRetryAfter);
    if (signal?.aborted) throw new CourantError('ABORTED', 'the upload was stopped', { cause: error });
    onWaiting?.(false);
  }
}

/** With a request id: of a file that goes on after a reload, where cursors are kept, the one it was begun with. */
export function named(document: Blob, options: SubmitOptions, cursors: Cursors): Named {
  if (options.requestId !== undefined) return options;
  const key =
    'lastModified' in document && 'name' in document
      ? `upload ${document.name} ${document.size} ${document.lastModified}`
      : null;
  const requestId = (key && cursors.recall(key)) ?? newRequestId();
  if (key) cursors.keep(key, requestId);
  return { ...options, requestId, ...(key && { done: () => cursors.forget(key) }) };
}
