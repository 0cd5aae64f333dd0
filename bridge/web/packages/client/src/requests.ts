/** What a client asks for over HTTP. What changes something waits for the network when there is none. */
import type { DocumentPart, JobAndCursor, JobList, ListOptions, Method, ResultFile } from './calls.ts';
import type { Cursors } from './cursors.ts';
import type { Http } from './http.ts';
import { type ConnectionSource, retryOnceOnline } from './retry-online.ts';
import type { ConnectionState } from './state.ts';
import type { JobStore } from './store.ts';
import type { Output, ResultFormat } from './types.ts';
import type { SubmitOptions } from './upload.ts';

/** Most pages need them only when somebody does something. */
export const load = () => import('./calls.ts');

export abstract class Requests implements ConnectionSource {
  /** All jobs known so far. */
  readonly jobs: JobStore;
  protected readonly http: Http;

  constructor(http: Http, jobs: JobStore) {
    this.http = http;
    this.jobs = jobs;
  }

  protected abstract readonly cursors: Cursors;
  abstract get connection(): ConnectionState;
  abstract onConnection(listener: () => void): () => void;

  /**
   * Submits a document. Without a network it is sent, or sent on, when the network is back; the request id makes that safe.
   */
  async submit(document: Blob, options: SubmitOptions = {}): Promise<JobAndCursor> {
    let named: SubmitOptions | undefined;
    const send = async () => {
      const upload = await import('./upload.ts');
      named ??= upload.named(document, options, this.cursors);
      return upload.submit(this.http, document, named);
    };
    return this.#keep(await retryOnceOnline(this, send, options.signal));
  }

  async get(jobId: string, signal?: AbortSignal): Promise<JobAndCursor> {
    return this.#keep(await (await load()).get(this.http, jobId, signal));
  }

  /** Cancels a job; given without a network, when the network is back. */
  async cancel(jobId: string): Promise<JobAndCursor> {
    return this.#keep(
      await retryOnceOnline(this, async () => (await load()).act(this.http, jobId, 'cancel')),
    );
  }

  /**
   * Queues a failed or cancelled job again, with the password of a document that needs one; given without a network, when
   * the network is back.
   */
  async retry(jobId: string, options: { readonly password?: string } = {}): Promise<JobAndCursor> {
    const body = options.password === undefined ? undefined : { password: options.password };
    return this.#keep(
      await retryOnceOnline(this, async () => (await load()).act(this.http, jobId, 'retry', body)),
    );
  }

  /** Removes a finished job with its document and results; given without a network, when the network is back. */
  async delete(jobId: string): Promise<void> {
    await retryOnceOnline(this, async () => (await load()).remove(this.http, jobId));
    this.jobs.remove(jobId);
  }

  async list(options: ListOptions = {}): Promise<JobList> {
    const list = await (await load()).list(this.http, options);
    for (const job of list.jobs) this.jobs.put(job);
    return list;
  }

  /**
   * Loads the next older jobs of one's own into `jobs`, at most 1000 that are known already on the way; `jobs.hasOlder` says
   * whether there may be more. Counts from when `mine` is live.
   */
  async loadOlder(): Promise<void> {
    await (await load()).loadOlder(this.http, this.jobs);
  }

  async resultText(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<string> {
    return (await load()).text(this.http, jobId, `results/${format}`, signal);
  }

  /**
   * What was found on a page, from the moment it is done: long before the result is written. The JSON of its worker; of a
   * PDF, one of `pages` in the JSON result.
   */
  async pageText(jobId: string, page: number, signal?: AbortSignal): Promise<string> {
    return (await load()).text(this.http, jobId, `pages/${page}`, signal);
  }

  async resultFile(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<ResultFile> {
    return (await load()).resultFile(this.http, jobId, format, signal);
  }

  /** All that workers have made of the document so far, the results in their formats first. */
  async outputs(jobId: string, signal?: AbortSignal): Promise<readonly Output[]> {
    return (await load()).outputs(this.http, jobId, signal);
  }

  /** One of them by its name; its type is that of the output. */
  async output(jobId: string, name: string, signal?: AbortSignal): Promise<Blob> {
    return (await load()).output(this.http, jobId, name, signal);
  }

  /** The bytes from `begin` to before `end` of an output, both within its size; all of it where ranges are not supported on the way. */
  async outputPart(
    jobId: string,
    name: string,
    range: readonly [begin: number, end: number],
    signal?: AbortSignal,
  ): Promise<DocumentPart> {
    return (await load()).outputPart(this.http, jobId, name, range, signal);
  }

  /** The document as it was submitted, by whomever. */
  async document(jobId: string, signal?: AbortSignal): Promise<Blob> {
    return (await load()).document(this.http, jobId, signal);
  }

  /** A part of it: from the first byte, counted from 0, up to but not with the second. */
  async documentPart(
    jobId: string,
    range: readonly [begin: number, end: number],
    signal?: AbortSignal,
  ): Promise<DocumentPart> {
    return (await load()).documentPart(this.http, jobId, range, signal);
  }

  /** Any other call of the bridge's HTTP side, for example `request('GET', 'v1/batches/b-1')`. The answer is unchecked. */
  async request(method: Method, path: string, body?: object): Promise<unknown> {
    return (await load()).request(this.http, method, path, body);
  }

  /** Marks notifications as read on every device, all when none are named; given without a network, when the network is back. */
  async markRead(ids: readonly string[] = []): Promise<void> {
    await retryOnceOnline(this, () => this.request('POST', 'v1/notifications:read', { ids }));
  }

  #keep(answer: JobAndCursor): JobAndCursor {
    this.jobs.put(answer.job);
    return answer;
  }
}
