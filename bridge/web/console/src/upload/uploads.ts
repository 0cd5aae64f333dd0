/** Files on their way to the server: a few at a time, each with its progress, safe to try again. */
import { type CourantClient, CourantError, newRequestId } from '@courant/client';
import { errorMessage } from '@courant/react/format';
import { cacheDocument } from '../viewer/document-cache.ts';
import type { Parameters } from './parameters.ts';

export interface Upload {
  readonly id: string;
  readonly file: File;
  readonly state: 'waiting' | 'sending' | 'storing' | 'failed';
  /** 0 to 1. */
  readonly sent: number;
  /** Whether it was cut, and goes on by itself when it can. */
  readonly isCut: boolean;
  readonly error: string | null;
  readonly canRetry: boolean;
  /** Files that came batch are a batch. */
  readonly batch: { readonly id: string; readonly size: number } | null;
  readonly parameters: Parameters | null;
}

const maxConcurrent = 3;

/** What a file is known by after a reload, so that an upload goes on with what has arrived. */
function requestIdKey(
  user: string,
  { name, size, lastModified }: File,
  parameters: Parameters | null,
): string {
  // A request id promises the parameters, too.
  const suffix = parameters === null ? '' : ` ${parameters.text}`;
  return `courant.upload ${user} ${name} ${size} ${lastModified}${suffix}`;
}

/** Why a file is not sent at all. `null` when it is. */
export function rejectionReason(file: File): string | null {
  if (file.size === 0) return 'The file is empty.';
  const isPdf = file.type === 'application/pdf' || /\.pdf$/i.test(file.name);
  return isPdf ? null : 'Only PDF files can be read. Export the document as PDF and drop that.';
}

/** The cursors just before the first event of each job submitted here: watching from there replays every page. */
const cursorKey = (jobId: string): string => `courant.cursor.${jobId}`;

export function firstCursor(jobId: string): string | undefined {
  try {
    return sessionStorage.getItem(cursorKey(jobId)) ?? undefined;
  } catch {
    return undefined;
  }
}

function rememberCursor(jobId: string, cursor: string | null): void {
  try {
    if (cursor !== null) sessionStorage.setItem(cursorKey(jobId), cursor);
  } catch {
    // Without storage a job opened late shows its pages from the result instead.
  }
}

function warn(event: Event): void {
  event.preventDefault();
}

export class Uploads {
  readonly #client: CourantClient;
  readonly #submitted: (jobId: string) => void;
  readonly #user: string;
  readonly #listeners = new Set<() => void>();
  readonly #aborts = new Map<string, AbortController>();
  /** Ids that were given out: of several files that come batch none is on the list yet. */
  readonly #taken = new Set<string>();
  #all: readonly Upload[] = [];

  /** `submitted` is called with the id of each job as soon as it has one. */
  constructor(client: CourantClient, submitted: (jobId: string) => void, user = '') {
    this.#client = client;
    this.#submitted = submitted;
    this.#user = user;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly list = (): readonly Upload[] => this.#all;

  add(files: Iterable<File>, parameters: Parameters | null = null): void {
    const all = Array.from(files);
    const size = all.filter((file) => rejectionReason(file) === null).length;
    const common = size > 1 ? { id: newRequestId(), size } : null;
    const added = all.map((file): Upload => {
      const error = rejectionReason(file);
      const state = error === null ? 'waiting' : 'failed';
      const batch = error === null ? common : null;
      const id = this.#idOf(file, parameters);
      return { id, file, parameters, state, sent: 0, isCut: false, error, canRetry: false, batch };
    });
    this.#set([...this.#all, ...added]);
    this.#next();
  }

  /** Stops an upload, or puts a failed one away. */
  remove(id: string): void {
    this.#aborts.get(id)?.abort();
    this.#aborts.delete(id);
    const upload = this.#all.find((one) => one.id === id);
    if (upload)
      this.#stored((storage) => storage.removeItem(requestIdKey(this.#user, upload.file, upload.parameters)));
    this.#set(this.#all.filter((upload) => upload.id !== id));
    this.#next();
  }

  retry(id: string): void {
    this.#change(id, { state: 'waiting', isCut: false, error: null, canRetry: false });
    this.#next();
  }

  /** Stops all there are and gives what has not arrived, so that it can go on elsewhere. */
  takeUnfinished(): readonly Upload[] {
    const unfinished = this.#all.filter(({ state, canRetry }) => state !== 'failed' || canRetry);
    for (const abort of this.#aborts.values()) abort.abort('later');
    this.#aborts.clear();
    this.#set([]);
    return unfinished;
  }

  /** Goes on with what another had. What did arrive is not submitted twice. */
  resume(unfinished: readonly Upload[]): void {
    const again = unfinished.map(
      (upload): Upload => ({ ...upload, state: 'waiting', isCut: false, error: null }),
    );
    this.#set([...this.#all, ...again]);
    this.#next();
  }

  #next(): void {
    const busy = this.#all.filter(({ state }) => state === 'sending' || state === 'storing').length;
    const waiting = this.#all.filter(({ state }) => state === 'waiting');
    for (const upload of waiting.slice(0, Math.max(0, maxConcurrent - busy))) void this.#send(upload);
  }

  async #send({ id, file, batch, parameters }: Upload): Promise<void> {
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    this.#change(id, { state: 'sending' });
    try {
      const { job, cursor } = await this.#client.submit(file, {
        // The same id on every try: a file that did arrive is not submitted twice.
        requestId: id,
        ...(batch === null ? {} : { batchId: batch.id, batchSize: batch.size }),
        ...(parameters === null ? {} : { parameters: parameters.value }),
        signal: abort.signal,
        onProgress: (sent) => this.#change(id, { sent, state: sent >= 1 ? 'storing' : 'sending' }),
        onWaiting: (isCut) => this.#change(id, { isCut }),
      });
      rememberCursor(job.jobId, cursor);
      cacheDocument(job.jobId, file);
      this.#submitted(job.jobId);
      this.remove(id);
    } catch (error) {
      if (error instanceof CourantError && error.code === 'ABORTED') return;
      this.#aborts.delete(id);
      const canRetry = !(error instanceof CourantError) || error.retryable || error.isAuth;
      this.#change(id, { state: 'failed', error: errorMessage(error), canRetry });
      this.#next();
    }
  }

  /**
   * The request id it was begun with before a reload, or a new one. Never one that is on the list: the same file twice is two
   * documents.
   */
  #idOf(file: File, parameters: Parameters | null): string {
    const key = requestIdKey(this.#user, file, parameters);
    const known = this.#stored((storage) => storage.getItem(key));
    const isFree = known && !this.#all.some(({ id }) => id === known) && !this.#taken.has(known);
    const id = isFree ? known : newRequestId();
    this.#taken.add(id);
    this.#stored((storage) => storage.setItem(key, id));
    return id;
  }

  #stored<T>(run: (storage: Storage) => T): T | undefined {
    try {
      return run(sessionStorage);
    } catch {
      // Without storage an upload starts from the beginning after a reload.
      return undefined;
    }
  }

  /** Leaving the page would cut what is being sent: the browser asks first. */
  #guard(): void {
    const busy = this.#all.some(({ state }) => state !== 'failed');
    if (busy) addEventListener('beforeunload', warn);
    else removeEventListener('beforeunload', warn);
  }

  #change(id: string, change: Partial<Upload>): void {
    this.#set(this.#all.map((upload) => (upload.id === id ? { ...upload, ...change } : upload)));
  }

  #set(all: readonly Upload[]): void {
    this.#all = all;
    this.#guard();
    for (const listener of this.#listeners) listener();
  }
}
