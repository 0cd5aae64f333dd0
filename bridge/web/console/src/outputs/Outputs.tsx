import { isFinished, type Job, type Output } from '@courant/client';
import { useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { Download } from 'lucide-react';
import { useState } from 'react';
import { downloadBlob } from '../ui/download-blob.ts';
import { formatBytes } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { mediaTypeName } from './media-type.ts';
import { OutputPreview } from './OutputPreview.tsx';

/** What workers have made of the document beside the results in their formats. */
export function Outputs({ job }: { readonly job: Job }) {
  const [shownName, setShownName] = useState<string | null>(null);
  // Whoever saw it run keeps the height of the list: nothing below moves when an output arrives.
  const [live] = useState(() => !isFinished(job));
  const shown = job.outputs.find(({ name }) => name === shownName);
  return (
    <div className="outputs" data-live={live} data-testid="outputs">
      <div className="outputs-list">
        {job.outputs.length === 0 ? (
          <p className="empty muted">
            {isFinished(job) ? 'This job has no outputs.' : 'Outputs appear here as soon as they are stored.'}
          </p>
        ) : (
          <ul aria-label="Outputs">
            {job.outputs.map((output) => (
              <OutputRow
                key={output.name}
                jobId={job.jobId}
                output={output}
                isShown={output.name === shownName}
                toggle={() => setShownName(output.name === shownName ? null : output.name)}
              />
            ))}
          </ul>
        )}
      </div>
      {shown && <OutputPreview key={shown.name} jobId={job.jobId} output={shown} />}
    </div>
  );
}

interface RowProps {
  readonly jobId: string;
  readonly output: Output;
  readonly isShown: boolean;
  readonly toggle: () => void;
}

function OutputRow({ jobId, output, isShown, toggle }: RowProps) {
  const { name, mediaType, sizeBytes } = output;
  const { busy, download } = useOutputDownload(jobId, name);
  return (
    <li data-testid="output" data-name={name}>
      <span className="output-name" dir="auto">
        {name}
      </span>
      <span className="muted small output-facts">
        {mediaTypeName(mediaType)}, {formatBytes(sizeBytes)}
      </span>
      <button
        type="button"
        className="button small"
        aria-expanded={isShown}
        aria-label={`Preview ${name}`}
        onClick={toggle}
        data-testid="preview-output"
      >
        Preview
      </button>
      <button
        type="button"
        className="button small"
        aria-label={`Download ${name}`}
        disabled={busy}
        onClick={() => void download()}
        data-testid="download-output"
      >
        <Download aria-hidden="true" />
        Download
      </button>
    </li>
  );
}

function useOutputDownload(jobId: string, name: string) {
  const client = useCourant();
  const [busy, setBusy] = useState(false);
  const download = async () => {
    setBusy(true);
    try {
      downloadBlob(await client.output(jobId, name), name);
    } catch (error) {
      toast({ tone: 'bad', title: `${name} could not be downloaded`, text: errorMessage(error) });
    }
    setBusy(false);
  };
  return { busy, download };
}
