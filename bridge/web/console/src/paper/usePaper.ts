import type { Job } from '@courant/client';
import { useCourant } from '@courant/react';
import { useEffect, useState } from 'react';
import { copyOf, passwordOf } from './copies.ts';
import { openPdf, type PDFDocumentProxy } from './pdf.ts';

/** The document behind a job, for drawing. `unreadable`: it is gone, or pdf.js cannot open it. */
export type Paper =
  | { readonly state: 'loading' | 'unreadable' }
  | { readonly state: 'open'; readonly pdf: PDFDocumentProxy };

/** Opened anew with each attempt: it may have brought the password. */
export function usePaper({ jobId, attempt }: Pick<Job, 'jobId' | 'attempt'>): Paper {
  const client = useCourant();
  const [paper, setPaper] = useState<Paper>({ state: 'loading' });

  useEffect(() => {
    const abort = new AbortController();
    let open: PDFDocumentProxy | undefined;
    const start = async (): Promise<void> => {
      const file = copyOf(jobId) ?? (await client.document(jobId, abort.signal));
      open = await openPdf(file, passwordOf(jobId));
      if (abort.signal.aborted) void open.loadingTask.destroy();
      else setPaper({ state: 'open', pdf: open });
    };
    start().catch(() => {
      if (!abort.signal.aborted) setPaper({ state: 'unreadable' });
    });
    return () => {
      abort.abort();
      void open?.loadingTask.destroy();
    };
  }, [client, jobId, attempt]);
  return paper;
}
