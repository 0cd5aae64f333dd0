import { CourantError, type Job, type ResultFormat } from '@courant/client';
import { useCourant } from '@courant/react';
import { useEffect, useState } from 'react';
import { failure } from '../ui/format.ts';

export type Loaded =
  | { readonly state: 'loading' }
  | { readonly state: 'failed'; readonly message: string }
  | { readonly state: 'ready'; readonly text: string };

const loading: Loaded = { state: 'loading' };

/** A result as text, read again when it was written anew. */
export function useResult(job: Job, format: ResultFormat): Loaded {
  const client = useCourant();
  const written = job.result?.formats.find((each) => each.format === format && each.state === 'completed');
  const sha256 = written?.sha256 ?? null;
  const key = `${job.jobId} ${format} ${sha256}`;
  const [loaded, setLoaded] = useState<{ readonly key: string; readonly value: Loaded }>({
    key,
    value: loading,
  });

  useEffect(() => {
    if (sha256 === null) return;
    const abort = new AbortController();
    const set = (value: Loaded) => {
      if (!abort.signal.aborted) setLoaded({ key, value });
    };
    client.resultText(job.jobId, format, abort.signal).then(
      (text) => set({ state: 'ready', text }),
      (error: unknown) => {
        if (!(error instanceof CourantError && error.code === 'ABORTED'))
          set({ state: 'failed', message: failure(error) });
      },
    );
    return () => abort.abort();
  }, [client, job.jobId, format, sha256, key]);

  return loaded.key === key ? loaded.value : loading;
}
