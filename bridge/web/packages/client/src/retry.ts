/** When to repeat a request that was refused for the moment. */
import { CourantError } from './errors.ts';
import { backoffMs } from './state.ts';

/** When the bridge says that it takes longer than this, the caller decides. */
const longestMs = 60_000;

/** Too many requests, or nobody there to take it: it was not done. */
export function isBusy(error: unknown): error is CourantError {
  return error instanceof CourantError && (error.status === 429 || error.status === 503);
}

/** How long to wait before try number `tries` (from 1); `null`: longer than this client waits. */
export function retryDelayMs({ retryAfterMs }: CourantError, tries: number): number | null {
  if (retryAfterMs !== null && retryAfterMs > longestMs) return null;
  return Math.max(retryAfterMs ?? 0, backoffMs(tries - 1, Math.random, 1000, 30_000));
}

/** Waits; shorter when `signal` aborts or, unless the bridge sent a `Retry-After`, when the network is back. */
export function waitToRetry(
  ms: number,
  signal: AbortSignal | undefined,
  hasRetryAfter: boolean,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', done);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (!hasRetryAfter) globalThis.addEventListener?.('online', done);
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
  });
}
