import type { Job } from '@courant/client';
import { useCallback, useEffect, useState } from 'react';
import { openPdf, type PDFDocumentProxy } from './pdf.ts';
import { find, isDocument, keep } from './vault.ts';

/** The document behind a job, for drawing. `absent`: it was submitted elsewhere. `unreadable`: pdf.js cannot open it. */
export type Paper =
  | { readonly state: 'loading' | 'absent' | 'unreadable' }
  | { readonly state: 'open'; readonly pdf: PDFDocumentProxy };

export interface PaperAndChoice {
  readonly paper: Paper;
  /** Takes the document from this device; says whether it is the right one. */
  readonly choose: (file: File) => Promise<boolean>;
}

export function usePaper(job: Job): PaperAndChoice {
  const [paper, setPaper] = useState<Paper>({ state: 'loading' });
  const [chosen, setChosen] = useState<Blob | null>(null);
  const { jobId, documentBytes, documentSha256 } = job;

  useEffect(() => {
    let gone = false;
    let open: PDFDocumentProxy | undefined;
    const start = async (): Promise<void> => {
      const file = chosen ?? (await find(jobId));
      if (gone) return;
      if (file === null) {
        setPaper({ state: 'absent' });
        return;
      }
      open = await openPdf(file);
      if (gone) void open.loadingTask.destroy();
      else setPaper({ state: 'open', pdf: open });
    };
    start().catch(() => {
      if (!gone) setPaper({ state: 'unreadable' });
    });
    return () => {
      gone = true;
      void open?.loadingTask.destroy();
    };
  }, [jobId, chosen]);

  const choose = useCallback(
    async (file: File) => {
      const right = await isDocument(file, documentBytes, documentSha256);
      if (right) {
        void keep(jobId, file);
        setChosen(file);
      }
      return right;
    },
    [jobId, documentBytes, documentSha256],
  );
  return { paper, choose };
}
