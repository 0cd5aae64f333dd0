import { useConnection } from '@courant/react';
import { RotateCw, X } from 'lucide-react';
import { formatBytes } from '../ui/format.ts';
import { ProgressBar } from '../ui/ProgressBar.tsx';
import { useUploads } from './context.tsx';
import type { Upload } from './uploads.ts';

function words({ state, sent, error, isCut }: Upload, away: boolean): string {
  if ((away || isCut) && state !== 'failed') {
    const what = away ? 'Waiting for connection' : 'Waiting for the server';
    return sent > 0
      ? `${what} at ${Math.round(sent * 100)} %; will continue automatically`
      : `${what}; will upload automatically`;
  }
  switch (state) {
    case 'waiting':
      return 'Waiting to be sent';
    case 'sending':
      return `Sending, ${Math.round(sent * 100)} %`;
    case 'storing':
      return 'Being stored';
    case 'failed':
      return error ?? 'The upload failed.';
  }
}

export function UploadCard({ upload }: { readonly upload: Upload }) {
  const { uploads } = useUploads();
  const { status } = useConnection();
  const { id, file, state, sent, isCut, canRetry } = upload;
  const away = status === 'offline' || status === 'reconnecting';
  const failed = state === 'failed';
  return (
    <article
      className="card upload"
      data-testid="upload"
      data-state={state}
      data-waiting={(away || isCut) && !failed}
      aria-label={`Upload of ${file.name}`}
    >
      <div className="card-head">
        <h3 className="card-name" dir="auto" title={file.name}>
          {file.name}
        </h3>
        <span className="muted nowrap">{formatBytes(file.size)}</span>
        <div className="card-actions">
          {canRetry && (
            <button type="button" className="button small" onClick={() => uploads.retry(id)}>
              <RotateCw aria-hidden="true" />
              Try again
            </button>
          )}
          <button
            type="button"
            className="button icon small"
            onClick={() => uploads.remove(id)}
            aria-label={failed ? 'Dismiss' : `Stop the upload of ${file.name}`}
          >
            <X aria-hidden="true" />
          </button>
        </div>
      </div>
      {!failed && <ProgressBar label={`Upload of ${file.name}`} percent={sent * 100} />}
      <p className={failed ? 'upload-words bad' : 'upload-words muted'} role={failed ? 'alert' : undefined}>
        {words(upload, away)}
      </p>
    </article>
  );
}
