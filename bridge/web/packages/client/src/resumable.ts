/**
 * Resumable uploads (PROTOCOL.md, section 8; tus 1.0.0). Beginning again with the same request id finds what has
 * arrived, so nothing has to be remembered but that id.
 */
import { get, type JobAndCursor } from './calls.ts';
import { CourantError, problem } from './errors.ts';
import type { Http } from './http.ts';
import { isBusy, retryDelayMs, waitToRetry } from './retry.ts';
import { type Answer, type Sending, send } from './transfer.ts';

/** Bytes of one request: proxies that gather whole requests lose no more than this at a cut. */
const pieceBytes = 8 << 20;
/** After so many tries in a row without progress the upload fails. */
const maxTriesWithoutProgress = 10;
const tus = { 'tus-resumable': '1.0.0' };
/** What another try can mend, beside a lost network and faults of the server. */
const retryableCodes = new Set([
  'UPLOAD_OFFSET',
  'UPLOAD_NOT_FOUND',
  'TOO_MANY',
  'BAD_MESSAGE',
  'AUTH_TIMEOUT',
]);

interface Options {
  readonly onProgress?: ((sent: number) => void) | undefined;
  readonly onWaiting?: ((waits: boolean) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How far an upload is. */
interface UploadPosition {
  readonly url: string;
  readonly offset: number;
  /** Once it is one. */
  readonly jobId: string | null;
  readonly cursor: string | null;
}

/** Uploads a document; `null` where the bridge knows no such uploads. */
export async function resumable(
  http: Http,
  document: Blob,
  fields: URLSearchParams,
  options: Options,
): Promise<JobAndCursor | null> {
  const upload = new Upload(http, document, fields, options);
  for (;;) {
    try {
      return await upload.send();
    } catch (error) {
      if (upload.isUnknown(error)) return null;
      await upload.recover(error);
    }
  }
}

class Upload {
  readonly #http: Http;
  readonly #document: Blob;
  readonly #fields: URLSearchParams;
  readonly #options: Options;
  #position: UploadPosition | null = null;
  /** Tries in a row without progress. */
  #tries = 0;
  #reached = 0;

  constructor(http: Http, document: Blob, fields: URLSearchParams, options: Options) {
    this.#http = http;
    this.#document = document;
    this.#fields = fields;
    this.#options = options;
  }

  /** From where it is to its end. */
  async send(): Promise<JobAndCursor> {
    const { signal, onWaiting } = this.#options;
    let position = this.#move(await begin(this.#http, this.#document, this.#fields, signal));
    onWaiting?.(false);
    while (position.jobId === null)
      position = this.#move(await write(this.#http, this.#document, position, this.#options));
    const { job } = await get(this.#http, position.jobId, signal);
    return { job, cursor: position.cursor };
  }

  /** Whether the bridge is one that knows no such uploads. */
  isUnknown(error: unknown): boolean {
    const status = error instanceof CourantError && error.status;
    return this.#position === null && (status === 404 || status === 405);
  }

  /** Resolves when it is time for another try; throws when none would help. */
  async recover(error: unknown): Promise<void> {
    const { signal, onWaiting } = this.#options;
    if (signal?.aborted) throw this.#stopped(error);
    if (!isRetryable(error) || ++this.#tries > maxTriesWithoutProgress) throw error;
    // Another writer, or an upload that has expired: what is there is asked for at once.
    if (error.code.startsWith('UPLOAD_') && this.#tries === 1) return;
    const wait = retryDelayMs(error, this.#tries);
    if (wait === null) throw error;
    onWaiting?.(true);
    await waitToRetry(wait, signal, error.retryAfterMs !== null);
    if (signal?.aborted) throw this.#stopped(error);
  }

  #move(position: UploadPosition): UploadPosition {
    if (position.offset > this.#reached) this.#tries = 0;
    this.#reached = Math.max(this.#reached, position.offset);
    this.#position = position;
    this.#options.onProgress?.(position.offset / this.#document.size);
    return position;
  }

  /** What has arrived is of no use any more, unless it is wanted later. Else it goes by itself, a day later. */
  #stopped(cause: unknown): CourantError {
    if (this.#options.signal?.reason !== 'later' && this.#position !== null) {
      const { url } = this.#position;
      send(this.#http, { method: 'DELETE', url, headers: tus }).catch(() => undefined);
    }
    return new CourantError('ABORTED', 'the upload was stopped', { cause });
  }
}

/** Whether another try may do better. */
function isRetryable(error: unknown): error is CourantError {
  if (!(error instanceof CourantError)) return false;
  const hasRetryAfter = isBusy(error) && error.retryAfterMs !== null;
  return (
    hasRetryAfter || error.code === 'NETWORK' || (error.status ?? 0) >= 500 || retryableCodes.has(error.code)
  );
}

async function begin(
  http: Http,
  document: Blob,
  fields: URLSearchParams,
  signal: AbortSignal | undefined,
): Promise<UploadPosition> {
  const url = http.url('v1/uploads');
  const headers = {
    ...tus,
    'upload-length': String(document.size),
    'upload-metadata': metadata(fields),
  };
  const answer = await good(http, { method: 'POST', url, headers, signal });
  const id = /[^/?]+(?=\?|$)/.exec(answer.header('location') ?? '')?.[0];
  if (id === undefined) throw wrong();
  return positionOf(answer, http.url(`v1/uploads/${id}`), document);
}

async function write(
  http: Http,
  document: Blob,
  { url, offset }: UploadPosition,
  options: Options,
): Promise<UploadPosition> {
  const { signal, onProgress } = options;
  const headers = {
    ...tus,
    'content-type': 'application/offset+octet-stream',
    'upload-offset': String(offset),
  };
  const body = document.slice(offset, offset + pieceBytes);
  // Exact at the ends: what is on its way may be a little more than the bytes of the document.
  const onSent = (bytes: number) => onProgress?.(Math.min(offset + bytes, document.size) / document.size);
  return positionOf(
    await good(http, { method: 'PATCH', url, headers, body, signal, onSent }),
    url,
    document,
    offset,
  );
}

function positionOf(answer: Answer, url: string, document: Blob, before = -1): UploadPosition {
  const offset = Number(answer.header('upload-offset') ?? Number.NaN);
  const jobId = answer.header('courant-job');
  const isSane = Number.isInteger(offset) && offset <= document.size && (jobId !== null || offset > before);
  if (!isSane) throw wrong();
  return { url, offset, jobId, cursor: answer.header('courant-cursor') };
}

const wrong = (): CourantError =>
  new CourantError('BAD_ANSWER', 'the server answered with something else than the protocol says');

async function good(http: Http, sending: Sending): Promise<Answer> {
  const answer = await send(http, sending);
  if (answer.status >= 200 && answer.status <= 299) return answer;
  throw problem(answer.status, answer.body, answer.header('retry-after'));
}

function metadata(fields: URLSearchParams): string {
  const pairs = [...fields].filter(([name]) => name !== 'label');
  const labels = fields.getAll('label').map((label): [string, string] => {
    const end = label.indexOf(':');
    return [label.slice(0, end), label.slice(end + 1)];
  });
  // No name may come twice.
  if (labels.length > 0) pairs.push(['labels', JSON.stringify(Object.fromEntries(labels))]);
  return pairs.map(([name, value]) => `${name} ${base64(value)}`).join(',');
}

function base64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(''));
}
