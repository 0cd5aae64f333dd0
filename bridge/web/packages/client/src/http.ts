/** The HTTP side of the bridge (PROTOCOL.md, section 8). Every failure is a `CourantError`. */
import type { TokenProvider } from './connection.ts';
import * as parts from './decode-job.ts';
import { CourantError, problem } from './errors.ts';
import * as read from './read.ts';
import type { Job, JobState, ResultFormat } from './types.ts';

export interface ListOptions {
  readonly pageSize?: number | undefined;
  /** From the page before; `null` and left out mean the first page. */
  readonly pageToken?: string | null | undefined;
  readonly states?: readonly JobState[] | undefined;
  readonly documentId?: string | undefined;
  readonly batchId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface JobList {
  /** Newest first. */
  readonly jobs: readonly Job[];
  /** For the next page; `null` on the last. */
  readonly nextPageToken: string | null;
  readonly cursor: string | null;
}

/** A job and the cursor from where watching it misses nothing. */
export interface JobAndCursor {
  readonly job: Job;
  readonly cursor: string | null;
}

/** A downloaded result. */
export interface ResultFile {
  readonly blob: Blob;
  readonly filename: string;
}

export interface HttpOptions {
  /** The bridge's address, for example `https://courant.example/`. */
  readonly base: string;
  readonly token: TokenProvider;
  readonly fetch: typeof fetch;
}

/** Reads a `{job, cursor}` answer. */
export function jobAndCursor(body: string): JobAndCursor {
  return shaped(body, (from) => ({
    job: parts.job(from['job']),
    cursor: read.textOrNull(from, 'cursor'),
  }));
}

function shaped<T>(body: string, take: (from: read.Json) => T): T {
  try {
    return take(read.object(JSON.parse(body), 'answer'));
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

export class Http {
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** The absolute address of a path below the bridge. */
  url(path: string): string {
    const { base } = this.#options;
    return new URL(path, base.endsWith('/') ? base : `${base}/`).href;
  }

  async token(): Promise<string> {
    const token = await this.#options.token();
    if (token === null) throw new CourantError('TOKEN_MISSING', 'sign in first');
    return token;
  }

  async list(options: ListOptions = {}): Promise<JobList> {
    const query = new URLSearchParams();
    if (options.pageSize !== undefined) query.set('pageSize', String(options.pageSize));
    if (options.pageToken != null) query.set('pageToken', options.pageToken);
    for (const state of options.states ?? []) query.append('state', state);
    if (options.documentId !== undefined) query.set('documentId', options.documentId);
    if (options.batchId !== undefined) query.set('batchId', options.batchId);
    const suffix = query.size > 0 ? `?${query}` : '';
    const response = await this.#call('GET', `v1/jobs${suffix}`, options.signal);
    return shaped(await response.text(), (from) => ({
      jobs: read.list(from, 'jobs', parts.job),
      nextPageToken: read.textOrNull(from, 'nextPageToken') || null,
      cursor: read.textOrNull(from, 'cursor'),
    }));
  }

  async get(jobId: string, signal?: AbortSignal): Promise<JobAndCursor> {
    return jobAndCursor(
      await (await this.#call('GET', `v1/jobs/${encodeURIComponent(jobId)}`, signal)).text(),
    );
  }

  async cancel(jobId: string): Promise<JobAndCursor> {
    return jobAndCursor(
      await (await this.#call('POST', `v1/jobs/${encodeURIComponent(jobId)}:cancel`)).text(),
    );
  }

  async retry(jobId: string): Promise<JobAndCursor> {
    return jobAndCursor(
      await (await this.#call('POST', `v1/jobs/${encodeURIComponent(jobId)}:retry`)).text(),
    );
  }

  /** A result as text, for showing. */
  async resultText(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<string> {
    return (await this.#result(jobId, format, signal)).text();
  }

  /** A result as a file, for saving. */
  async resultFile(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<ResultFile> {
    const response = await this.#result(jobId, format, signal);
    const filename = dispositionName(response.headers.get('content-disposition')) ?? `result.${format}`;
    return { blob: await response.blob(), filename };
  }

  #result(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<Response> {
    return this.#call('GET', `v1/jobs/${encodeURIComponent(jobId)}/results/${format}`, signal);
  }

  async #call(method: 'GET' | 'POST', path: string, signal?: AbortSignal): Promise<Response> {
    const headers = { authorization: `Bearer ${await this.token()}` };
    let response: Response;
    try {
      response = await this.#options.fetch(this.url(path), { method, headers, signal: signal ?? null });
    } catch (cause) {
      if (signal?.aborted) throw new CourantError('ABORTED', 'stopped', { cause });
      throw new CourantError('NETWORK', 'the server cannot be reached', { retryable: true, cause });
    }
    if (response.ok) return response;
    throw problem(response.status, await response.text(), response.headers.get('retry-after'));
  }
}
