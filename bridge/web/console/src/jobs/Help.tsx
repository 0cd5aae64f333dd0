import type { Job } from '@courant/client';
import { recoveryOf, useCourant } from '@courant/react';
import { RotateCw } from 'lucide-react';
import { useState } from 'react';
import { failure } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { UploadAgain } from '../upload/UploadAgain.tsx';
import { PasswordForm } from './PasswordForm.tsx';
import { useRecent } from './recent.tsx';

/** What one can do about a failed job, beside the Retry of its actions. */
export function Help({ job }: { readonly job: Job }) {
  switch (recoveryOf(job)) {
    case 'password':
      return <PasswordForm job={job} />;
    case 'new-document':
      return (
        <>
          <p>Retrying cannot help: the document itself has to change.</p>
          <UploadAgain filename={job.filename} />
        </>
      );
    case 'change':
      return (
        <>
          <p>Retrying gives the same result, unless an operator has changed a limit or a setting since.</p>
          <div className="row">
            <UploadAgain filename={job.filename} />
            <RetryAnyway job={job} />
          </div>
        </>
      );
    case 'retry':
      return job.state === 'failed' ? <p>Retrying may help; finished pages are kept.</p> : null;
    case null:
      return null;
  }
}

function RetryAnyway({ job }: { readonly job: Job }) {
  const client = useCourant();
  const { recent } = useRecent();
  const [busy, setBusy] = useState(false);
  const retry = async () => {
    setBusy(true);
    recent.keep(job.jobId);
    try {
      await client.retry(job.jobId);
    } catch (error) {
      toast({ tone: 'bad', title: `${job.filename} could not be retried`, text: failure(error) });
    }
    setBusy(false);
  };
  return (
    <button
      type="button"
      className="button small"
      disabled={busy}
      onClick={() => void retry()}
      aria-label={`Retry ${job.filename} anyway`}
      data-testid="retry-anyway"
    >
      <RotateCw aria-hidden="true" />
      Retry anyway
    </button>
  );
}
