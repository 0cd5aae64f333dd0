/** Submitting a document with upload progress, which only XMLHttpRequest reports; without it, `fetch`. */

import { type JobAndCursor, jobAndCursor } from './calls.ts';
import { CourantError, problem } from './errors.ts';
import type { Http } from './http.ts';
import { newRequestId } from './request-id.ts';
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
  /** 0 to 1 of the bytes sent. */
  readonly onProgress?: ((sent: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

function query(document: Blob, options: SubmitOptions): URLSearchParams {
  const name = options.name ?? ('name' in document ? String(document.name) : 'document');
  const query = new URLSearchParams({ name, requestId: options.requestId ?? newRequestId() });
  if (options.documentId !== undefined) query.set('documentId', options.documentId);
  if (options.batchId !== undefined) query.set('batchId', options.batchId);
  if (options.batchSize !== undefined) query.set('batchSize', String(options.batchSize));
  if (options.kind !== undefined) query.set('kind', options.kind);
  if (options.lane !== undefined) query.set('lane', options.lane);
  if (options.formats !== undefined) query.set('formats', options.formats.join(','));
  for (const [key, value] of Object.entries(options.labels ?? {})) query.append('label', `${key}:${value}`);
  return query;
}

/** Submits a document; resolves when it is stored and queued. */
export async function submit(http: Http, document: Blob, options: SubmitOptions = {}): Promise<JobAndCursor> {
  const url = http.url(`v1/jobs?${query(document, options)}`);
  const headers = {
    authorization: `Bearer ${await http.token()}`,
    'content-type': 'application/pdf',
  };
  options.signal?.throwIfAborted();
  const answer =
    typeof XMLHttpRequest === 'function'
      ? await sendWithProgress(url, headers, document, options)
      : await sendPlain(http, url, headers, document, options);
  if (answer.status < 200 || answer.status > 299)
    throw problem(answer.status, answer.body, answer.retryAfter);
  return jobAndCursor(answer.body);
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | null;
}

type Headers = Readonly<Record<string, string>>;

const unreachable = (cause?: unknown): CourantError =>
  new CourantError('NETWORK', 'the upload was interrupted', { retryable: true, cause });
const aborted = (): CourantError => new CourantError('ABORTED', 'the upload was stopped');

async function sendPlain(
  http: Http,
  url: string,
  headers: Headers,
  body: Blob,
  options: SubmitOptions,
): Promise<Answer> {
  try {
    const response = await http.fetch(url, { method: 'POST', headers, body, signal: options.signal ?? null });
    return {
      status: response.status,
      body: await response.text(),
      retryAfter: response.headers.get('retry-after'),
    };
  } catch (cause) {
    throw options.signal?.aborted ? aborted() : unreachable(cause);
  }
}

function sendWithProgress(
  url: string,
  headers: Headers,
  body: Blob,
  options: SubmitOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.total > 0) options.onProgress?.(event.loaded / event.total);
    };
    const abort = (): void => request.abort();
    request.onload = () =>
      resolve({
        status: request.status,
        body: request.responseText,
        retryAfter: request.getResponseHeader('retry-after'),
      });
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(aborted());
    request.onloadend = () => options.signal?.removeEventListener('abort', abort);
    options.signal?.addEventListener('abort', abort);
    request.send(body);
  });
}
