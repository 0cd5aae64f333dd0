import type { CourantClient, Job } from '@courant/client';
import { useState } from 'react';
import { useCourant } from './context.ts';

type RetryOptions = Parameters<CourantClient['retry']>[1];

export interface JobActions {
  /** One of them is under way. */
  readonly busy: boolean;
  /** Why the last one failed; `null` once another has begun. */
  readonly error: unknown;
  /** Resolves to whether it was done; never rejects. */
  readonly cancel: () => Promise<boolean>;
  /** Resolves to whether it was done; never rejects. See `recoveryOf` for when it can help. */
  readonly retry: (options?: RetryOptions) => Promise<boolean>;
}

/** Cancels and retries a job, one at a time. `onError` is called with why one of them failed, and which. */
export function useJobActions(
  { jobId }: Pick<Job, 'jobId'>,
  onError?: (error: unknown, action: 'cancel' | 'retry') => void,
): JobActions {
  const client = useCourant();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (action: 'cancel' | 'retry', work: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setError(null);
    try {
      await work();
      return true;
    } catch (reason) {
      setError(reason);
      onError?.(reason, action);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return {
    busy,
    error,
    cancel: () => run('cancel', () => client.cancel(jobId)),
    retry: (options) => run('retry', () => client.retry(jobId, options)),
  };
}
