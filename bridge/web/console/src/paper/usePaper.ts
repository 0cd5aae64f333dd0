import type { Job } from '@courant/client';
import { useCourant } from '@courant/react';
import { useEffect, useState } from 'react';
import { copyOf, keepPassword, passwordOf } from './copies.ts';
import { openPdf, type PDFDocumentProxy, wantsPassword } from './pdf.ts';
import { ranges } from './ranges.ts';

/**
 * The document behind a job, for drawing. `locked`: it wants its password, which was given on another device or before a
 * reload. `unreadable`: it is gone, or pdf.js cannot open it.
 */
export type DocumentState =
  | { readonly state: 'loading' | 'unreadable' }
  | { readonly state: 'locked'; readonly refused: boolean; readonly unlock: (password: string) => void }
  | { readonly state: 'open'; readonly pdf: PDFDocumentProxy };

/** Opened anew with each attempt: it may have brought the password. */
export function usePaper({
  jobId,
  attempt,
  documentBytes,
}: Pick<Job, 'jobId' | 'attempt' | 'documentBytes'>): DocumentState {
  const client = useCourant();
  const [paper, setPaper] = useState<DocumentState>({ state: 'loading' });
  const [tries, setTries] = useState(0);

  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    const tell = (next: DocumentState): void => {
      if (!signal.aborted) setPaper(next);
    };
    const copy = copyOf(jobId);
    const remote = ranges(client, jobId, signal);
    const read = async (begin: number, end: number) => copy?.slice(begin, end) ?? remote(begin, end);
    const lost = (error: unknown): void => {
      if (!wantsPassword(error)) {
        tell({ state: 'unreadable' });
        return;
      }
      const unlock = (password: string): void => {
        keepPassword(jobId, password);
        setTries((before) => before + 1);
      };
      tell({ state: 'locked', refused: tries > 0, unlock });
    };
    openPdf({ bytes: documentBytes, read, signal, lost }, passwordOf(jobId)).then(
      (pdf) => tell({ state: 'open', pdf }),
      lost,
    );
    return () => abort.abort();
  }, [client, jobId, attempt, documentBytes, tries]);
  return paper;
}
