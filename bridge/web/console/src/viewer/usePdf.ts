import type { Job } from '@courant/client';
import { useCourant } from '@courant/react';
import { useEffect, useState } from 'react';
import { cachedDocument, cachedPassword, cachePassword } from './document-cache.ts';
import { needsPassword, openPdf, type PDFDocumentProxy } from './pdf.ts';
import { rangeReader } from './range-reader.ts';

/**
 * The document behind a job, for drawing. `locked`: it wants its password, which was given on another device or before a
 * reload. `unreadable`: it is gone, or pdf.js cannot open it.
 */
export type PdfState =
  | { readonly state: 'loading' | 'unreadable' }
  | { readonly state: 'locked'; readonly refused: boolean; readonly unlock: (password: string) => void }
  | { readonly state: 'open'; readonly pdf: PDFDocumentProxy };

/** Opened again with each attempt: it may have brought the password. */
export function usePdf({
  jobId,
  attempt,
  documentBytes,
}: Pick<Job, 'jobId' | 'attempt' | 'documentBytes'>): PdfState {
  const client = useCourant();
  const [pdf, setPdf] = useState<PdfState>({ state: 'loading' });
  const [tries, setTries] = useState(0);

  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    const set = (next: PdfState): void => {
      if (!signal.aborted) setPdf(next);
    };
    const copy = cachedDocument(jobId);
    const remote = rangeReader(client, jobId, signal);
    const read = async (begin: number, end: number) => copy?.slice(begin, end) ?? remote(begin, end);
    const onError = (error: unknown): void => {
      if (!needsPassword(error)) {
        set({ state: 'unreadable' });
        return;
      }
      const unlock = (password: string): void => {
        cachePassword(jobId, password);
        setTries((before) => before + 1);
      };
      set({ state: 'locked', refused: tries > 0, unlock });
    };
    openPdf({ bytes: documentBytes, read, signal, onError }, cachedPassword(jobId)).then(
      (pdf) => set({ state: 'open', pdf }),
      onError,
    );
    return () => abort.abort();
  }, [client, jobId, attempt, documentBytes, tries]);
  return pdf;
}
