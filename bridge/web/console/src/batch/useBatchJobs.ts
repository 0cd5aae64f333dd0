import { CourantError, type JobView, type ListOptions } from '@courant/client';
import { useCourant, useJobs, useWatch } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useCallback, useEffect, useRef, useState } from 'react';
import { usePendingDeletes } from '../jobs/delayed-delete.tsx';

const pageSize = 500;

export interface BatchJobs {
  readonly views: readonly JobView[];
  readonly loading: boolean;
  /** Why some of them may be missing. */
  readonly error: string | null;
  readonly reload: () => void;
}

/** All jobs of a batch. The topic sends the unfinished ones and the newest finished ones; the others are listed. */
export function useBatchJobs(batchId: string): BatchJobs {
  const client = useCourant();
  const [loading, setLoading] = useState(true);
  const [error, setError] = useState<string | null>(null);
  const running = useRef(new AbortController());
  useWatch(`batch/${batchId}`, { minIntervalMs: 250 });
  const hidden = usePendingDeletes();
  const views = useJobs({ minIntervalMs: 250 }).jobs.filter(
    ({ job }) => job.batchId === batchId && !hidden.has(job.jobId),
  );

  const load = useCallback(async () => {
    running.current.abort();
    const abort = new AbortController();
    running.current = abort;
    const { signal } = abort;
    setError(null);
    try {
      let pageToken: string | null = null;
      do {
        const options: ListOptions = { batchId, pageSize, pageToken, signal };
        pageToken = (await client.list(options)).nextPageToken;
      } while (pageToken !== null);
    } catch (reason) {
      if (reason instanceof CourantError && reason.code === 'ABORTED') return;
      // Those that are known are shown; the topic brings what changes.
      setError(errorMessage(reason));
    }
    setLoading(false);
  }, [client, batchId]);

  useEffect(() => {
    void load();
    return () => running.current.abort();
  }, [load]);
  return { views, loading, error, reload: () => void load() };
}
