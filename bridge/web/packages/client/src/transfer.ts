/** One request with a body and its progress, which only XMLHttpRequest reports; without it, `fetch`. */
import { CourantError } from './errors.ts';
import type { Http } from './http.ts';

/** Nothing sent for so long: the connection is dead, though it was not closed. */
const stalledMs = 45_000;

export interface Sending {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Blob | FormData | undefined;
  /** Bytes of the body that are on their way. */
  readonly onSent?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly header: (name: string) => string | null;
}

const interrupted = (cause?: unknown): CourantError =>
  new CourantError('NETWORK', 'the upload was interrupted', { retryable: true, cause });
const aborted = (): CourantError => new CourantError('ABORTED', 'the upload was stopped');

/** Sends it with the token; whatever status the answer has. */
export async function send(http: Http, sending: Sending): Promise<Answer> {
  const headers = { authorization: `Bearer ${await http.token()}`, ...sending.headers };
  sending.signal?.throwIfAborted();
  const signed = { ...sending, headers };
  // Some tests and programs have only one of the two, and only bodies have progress.
  return typeof XMLHttpRequest === 'function' && sending.body ? byXhr(signed) : byFetch(http, signed);
}

async function byFetch(http: Http, { url, method, headers, body, signal }: Sending): Promise<Answer> {
  try {
    const request = { method, headers, body: body ?? null, signal: signal ?? null };
    const response = await http.fetch(url, request);
    const header = (name: string) => response.headers.get(name);
    return { status: response.status, body: await response.text(), header };
  } catch (cause) {
    throw signal?.aborted ? aborted() : interrupted(cause);
  }
}

function byXhr({ url, method, headers, body, onSent, signal }: Sending): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    let timer: ReturnType<typeof setTimeout>;
    const rest = (): void => clearTimeout(timer);
    const look = (): void => {
      rest();
      timer = setTimeout(() => {
        reject(interrupted());
        request.abort();
      }, stalledMs);
    };
    request.upload.onprogress = (event) => {
      look();
      onSent?.(event.loaded);
    };
    // The answer may take its time: the document is being stored.
    request.upload.onload = rest;
    const abort = (): void => request.abort();
    request.onload = () =>
      resolve({
        status: request.status,
        body: request.responseText,
        header: (name) => request.getResponseHeader(name),
      });
    request.onerror = () => reject(interrupted());
    request.onabort = () => reject(aborted());
    request.onloadend = () => {
      rest();
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort);
    look();
    request.send(body);
  });
}
