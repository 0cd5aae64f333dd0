import { CourantError, type Job, type ResultFormat } from '@courant/client';
import { useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useEffect, useMemo, useState } from 'react';
import { type DocumentPage, readDocument } from './document.ts';

export type Loaded =
  | { readonly state: 'loading' }
  | { readonly state: 'failed'; readonly message: string }
  | { readonly state: 'ready'; readonly text: string };

const loading: Loaded = { state: 'loading' };
/** A larger JSON result is not taken apart in the browser; it can be downloaded. */
const mostJsonBytes = 32_000_000;

function written(job: Job, format: ResultFormat) {
  return job.result?.formats.find((each) => each.format === format && each.state === 'completed');
}

/** A result as text, loaded again when it was rewritten. `null`: not wanted now. */
export function useResult(job: Job, format: ResultFormat | null): Loaded {
  const client = useCourant();
  const sha256 = format === null ? null : (written(job, format)?.sha256 ?? null);
  const key = `${job.jobId} ${format} ${sha256}`;
  const [loaded, setLoaded] = useState<{ readonly key: string; readonly value: Loaded }>({
    key,
    value: loading,
  });

  useEffect(() => {
    if (format === null || sha256 === null) return;
    const abort = new AbortController();
    const set = (value: Loaded) => {
      if (!abort.signal.aborted) setLoaded({ key, value });
    };
    client.resultText(job.jobId, format, abort.signal).then(
      (text) => set({ state: 'ready', text }),
      (error: unknown) => {
        if (error instanceof CourantError && error.code === 'ABORTED') return;
        set({ state: 'failed', message: errorMessage(error) });
      },
    );
    return () => abort.abort();
  }, [client, job.jobId, format, sha256, key]);

  return loaded.key === key ? loaded.value : loading;
}

/** The JSON result of a job, taken apart. `none`: not written, too large, or not one this page understands. */
export type JobDocument =
  | { readonly state: 'none' | 'loading' }
  | { readonly state: 'ready'; readonly pages: readonly DocumentPage[] };

export function useDocument(job: Job): JobDocument {
  const size = written(job, 'json')?.sizeBytes ?? null;
  const readable = size !== null && size <= mostJsonBytes;
  const result = useResult(job, readable ? 'json' : null);
  return useMemo(() => {
    if (!readable || result.state === 'failed') return { state: 'none' };
    if (result.state === 'loading') return { state: 'loading' };
    const pages = readDocument(result.text);
    return pages === null ? { state: 'none' } : { state: 'ready', pages };
  }, [readable, result]);
}
