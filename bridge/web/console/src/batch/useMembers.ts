import type { JobView, ListOptions } from '@courant/client';
import { useCourant, useJobs, useWatch } from '@courant/react';
import { useEffect, useState } from 'react';
import { useHidden } from '../jobs/removal.tsx';

const pageSize = 500;

/** All jobs of a batch. The topic tells of those that go on and of the newest that ended; the others are asked for. */
export function useMembers(batchId: string): {
  readonly views: readonly JobView[];
  readonly loading: boolean;
} {
  const client = useCourant();
  const [asked, setAsked] = useState(false);
  useWatch(`batch/${batchId}`, { minIntervalMs: 250 });
  const hidden = useHidden();
  const views = useJobs({ minIntervalMs: 250 }).filter(
    ({ job }) => job.batchId === batchId && !hidden.has(job.jobId),
  );

  useEffect(() => {
    const abort = new AbortController();
    const ask = async (): Promise<void> => {
      let pageToken: string | null = null;
      do {
        const options: ListOptions = { batchId, pageSize, pageToken, signal: abort.signal };
        pageToken = (await client.list(options)).nextPageToken;
      } while (pageToken !== null);
    };
    // Without a network those that are known are shown; the topic brings the others when it is back.
    ask()
      .catch(() => undefined)
      .then(() => setAsked(true));
    return () => abort.abort();
  }, [client, batchId]);
  return { views, loading: !asked };
}
