/** Reads a document by ranges; all of it at once where these do not come through. */
import { type CourantClient, CourantError } from '@courant/client';

export type Documents = Pick<CourantClient, 'document' | 'documentPart'>;
type Read = (begin: number, end: number) => Promise<Blob>;

/** The first wait; each is twice as long as the one before. */
const againAfterMs = 2_000;
const longestWaitMs = 30_000;

/** Whether it works once the network is back, or one has signed in again. */
const isTransient = (error: unknown): boolean =>
  error instanceof CourantError && (error.retryable || error.isAuth);

/** Goes on trying while the network is away, less often as time goes by and no sooner than the server allows. */
async function retrying<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let wait = againAfterMs; ; wait = Math.min(2 * wait, longestWaitMs)) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error;
      const retryAfterMs = error instanceof CourantError ? (error.retryAfterMs ?? 0) : 0;
      await new Promise((resolve) => setTimeout(resolve, Math.max(retryAfterMs, wait)));
    }
  }
}

/** A reader of one document. What it reads first shows whether ranges come through; the others wait for that. */
export function rangeReader(client: Documents, jobId: string, signal: AbortSignal): Read {
  let whole: Promise<Blob> | null = null;
  let first: Promise<unknown> | null = null;

  const part: Read = async (begin, end) => {
    try {
      const found = await retrying(() => client.documentPart(jobId, [begin, end], signal), signal);
      if (found.begin === begin && found.blob.size === end - begin) return found.blob;
      whole ??= Promise.resolve(found.blob);
    } catch (error) {
      // Gone is gone. Anything else may be somebody on the way who does not like ranges.
      if (signal.aborted || (error instanceof CourantError && error.code === 'JOB_NOT_FOUND')) throw error;
      whole ??= retrying(() => client.document(jobId, signal), signal);
    }
    return (await whole).slice(begin, end);
  };

  return async (begin, end) => {
    if (first === null) {
      const answer = part(begin, end);
      first = answer.catch(() => undefined);
      return answer;
    }
    await first;
    return whole === null ? part(begin, end) : (await whole).slice(begin, end);
  };
}
