import type { Job } from '@courant/client';
import { recoveryOf } from '@courant/react';
import { recoveryAdvice } from '@courant/react/format';
import { RotateCw } from 'lucide-react';
import { UploadAgain } from '../upload/UploadAgain.tsx';
import { useJobActionsWithToasts } from './Actions.tsx';
import { PasswordForm } from './PasswordForm.tsx';
import { useRecentJobs } from './recent-jobs.tsx';

/** What one can do about a failed job, beside the Retry of its actions. */
export function Help({ job }: { readonly job: Job }) {
  const recovery = recoveryOf(job);
  switch (recovery) {
    case 'password':
      return <PasswordForm job={job} />;
    case 'new-document':
      return (
        <>
          <p>{recoveryAdvice[recovery]}</p>
          <UploadAgain filename={job.filename} />
        </>
      );
    case 'change':
      return (
        <>
          <p>{recoveryAdvice[recovery]}</p>
          <div className="row">
            <UploadAgain filename={job.filename} />
            <RetryAnyway job={job} />
          </div>
        </>
      );
    case 'retry':
      return job.state === 'failed' ? <p>{recoveryAdvice[recovery]}</p> : null;
    case null:
      return null;
  }
}

function RetryAnyway({ job }: { readonly job: Job }) {
  const { recent } = useRecentJobs();
  const { busy, retry } = useJobActionsWithToasts(job);
  return (
    <button
      type="button"
      className="button small"
      disabled={busy}
      onClick={() => {
        recent.keep(job.jobId);
        void retry();
      }}
      aria-label={`Retry ${job.filename} anyway`}
      data-testid="retry-anyway"
    >
      <RotateCw aria-hidden="true" />
      Retry anyway
    </button>
  );
}
