import type { Job, ResultFormat } from '@courant/client';
import { useCourant } from '@courant/react';
import { Download } from 'lucide-react';
import { useState } from 'react';
import { bytes, failure, formatNames } from '../ui/format.ts';
import { save } from '../ui/save.ts';
import { toast } from '../ui/toasts.ts';

/** A button for each format that was written. */
export function Downloads({ job }: { readonly job: Job }) {
  const client = useCourant();
  const [busy, setBusy] = useState<ResultFormat | null>(null);
  const ready = job.result?.formats.filter(({ state }) => state === 'completed') ?? [];
  if (ready.length === 0) return null;

  const download = async (format: ResultFormat) => {
    setBusy(format);
    try {
      const { blob, filename } = await client.resultFile(job.jobId, format);
      save(blob, filename);
    } catch (error) {
      toast({ tone: 'bad', title: `${job.filename} could not be downloaded`, text: failure(error) });
    }
    setBusy(null);
  };

  return (
    <fieldset className="downloads" aria-label={`Downloads of ${job.filename}`}>
      {ready.map(({ format, sizeBytes }) => (
        <button
          key={format}
          type="button"
          className="button small"
          disabled={busy !== null}
          onClick={() => void download(format)}
          title={sizeBytes === null ? undefined : bytes(sizeBytes)}
          data-testid={`download-${format}`}
        >
          <Download aria-hidden="true" />
          {formatNames[format]}
        </button>
      ))}
    </fieldset>
  );
}
