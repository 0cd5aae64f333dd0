import type { Job, ResultFormat } from '@courant/client';
import { useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useState } from 'react';
import { downloadBlob } from '../ui/download-blob.ts';
import { toast } from '../ui/toasts.ts';

/** What can be downloaded of a job, what is being downloaded now, and how to begin. */
export function useDownload(job: Job) {
  const client = useCourant();
  const [busy, setBusy] = useState<ResultFormat | null>(null);
  const ready = job.result?.formats.filter(({ state }) => state === 'completed') ?? [];
  const download = async (format: ResultFormat) => {
    setBusy(format);
    try {
      const { blob, filename } = await client.resultFile(job.jobId, format);
      downloadBlob(blob, filename);
    } catch (error) {
      toast({ tone: 'bad', title: `${job.filename} could not be downloaded`, text: errorMessage(error) });
    }
    setBusy(null);
  };
  return { ready, busy, download };
}
