import { CourantError } from '@courant/client';
import { useCourant } from '@courant/react';
import { useEffect, useState } from 'react';
import { type Block, readPage } from '../detail/document.ts';

/** Pages that fly by while one scrolls, or follows a fast reader, are not asked for. */
const restMs = 120;
/** After an answer that may be better next time. */
const againMs = 2000;

/** What a finished page says while the result of the job is not written or not read yet; `null` until it is known. */
export function useEarlyText(jobId: string, number: number, wanted: boolean): readonly Block[] | null {
  const client = useCourant();
  const [blocks, setBlocks] = useState<readonly Block[] | null>(null);
  const asks = wanted && blocks === null;

  useEffect(() => {
    if (!asks) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = () => {
      client.pageText(jobId, number, abort.signal).then(
        (json) => {
          if (!abort.signal.aborted) setBlocks(readPage(json)?.blocks ?? null);
        },
        (error: unknown) => {
          const again = error instanceof CourantError && error.retryable;
          if (again && !abort.signal.aborted) timer = setTimeout(ask, againMs);
        },
      );
    };
    timer = setTimeout(ask, restMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [client, jobId, number, asks]);
  return blocks;
}
