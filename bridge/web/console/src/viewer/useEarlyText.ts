import { CourantError } from '@courant/client';
import { useCourant } from '@courant/react';
import { useEffect, useState } from 'react';
import { type Block, readPage } from '../detail/document.ts';

/** Pages that fly by while one scrolls, or follows a fast reader, are not asked for. */
const restMs = 120;
/** After an answer that may be better next time; twice as long after each. */
const againMs = 2_000;
/** So often; the text comes with the result then. */
const mostTries = 6;

/** What a finished page says while the result of the job is not written or not read yet; `null` until it is known. */
export function useEarlyText(jobId: string, number: number, wanted: boolean): readonly Block[] | null {
  const client = useCourant();
  const [blocks, setBlocks] = useState<readonly Block[] | null>(null);
  const asks = wanted && blocks === null;

  useEffect(() => {
    if (!asks) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let tries = 0;
    const ask = () => {
      client.pageText(jobId, number, abort.signal).then(
        (json) => {
          if (!abort.signal.aborted) setBlocks(readPage(json)?.blocks ?? null);
        },
        (error: unknown) => {
          tries += 1;
          if (!(error instanceof CourantError && error.retryable) || tries >= mostTries) return;
          const wait = Math.max(error.retryAfterMs ?? 0, againMs * 2 ** (tries - 1));
          if (!abort.signal.aborted) timer = setTimeout(ask, wait);
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
