import { isFinished, type Job } from '@courant/client';
import { type JobActions, recoveryOf, useCourant, useJobActions } from '@courant/react';
import { errorMessage, formatCount } from '@courant/react/format';
import { RotateCw, Trash2, X } from 'lucide-react';
import { useRef, useState } from 'react';
import { Confirm } from '../ui/Confirm.tsx';
import { focusNeighbor, useFocusFallback } from '../ui/focus.ts';
import { toast } from '../ui/toasts.ts';
import { deleteWithUndo } from './delayed-delete.tsx';
import { useRecentJobs } from './recent-jobs.tsx';

/** Like `useJobActions`, and says in a toast what could not be done. */
export function useJobActionsWithToasts(job: Job): JobActions {
  return useJobActions(job, (error, action) => {
    const what = action === 'retry' ? 'retried' : 'cancelled';
    toast({ tone: 'bad', title: `${job.filename} could not be ${what}`, text: errorMessage(error) });
  });
}

/** Cancel while it can be cancelled; delete once it is over, and retry where that can help. */
export function Actions({ job }: { readonly job: Job }) {
  const client = useCourant();
  const { recent } = useRecentJobs();
  const box = useRef<HTMLDivElement>(null);
  const [asking, setAsking] = useState(false);
  const actions = useJobActionsWithToasts(job);
  const { busy } = actions;
  const kept = useFocusFallback(box, `${job.state} ${busy}`);
  const retry = () => {
    recent.keep(job.jobId);
    void actions.retry();
  };
  const cancelNow = async () => {
    if (!(await actions.cancel())) return;
    const undo = { label: 'Undo', run: () => void actions.retry() };
    toast({ tone: 'plain', title: `${job.filename} cancelled`, action: undo });
  };
  // What has begun is not thrown away by a slip of the hand.
  const cancel = () => (job.pagesDone > 0 ? setAsking(true) : void cancelNow());
  const canRetry = recoveryOf(job) === 'retry';
  return (
    <div className="actions" ref={box} {...kept}>
      {(job.state === 'queued' || job.state === 'running') && (
        <button
          type="button"
          className="button small"
          disabled={busy}
          onClick={cancel}
          aria-label={`Cancel ${job.filename}`}
          title="Cancel"
          data-testid="cancel-job"
        >
          <X aria-hidden="true" />
          Cancel
        </button>
      )}
      {canRetry && (
        <button
          type="button"
          className="button small"
          disabled={busy}
          onClick={retry}
          aria-label={`Retry ${job.filename}`}
          title="Retry"
          data-testid="retry-job"
        >
          <RotateCw aria-hidden="true" />
          Retry
        </button>
      )}
      {isFinished(job) && (
        <button
          type="button"
          className="button icon small"
          onClick={() => {
            focusNeighbor(box.current);
            deleteWithUndo(client, [job]);
          }}
          aria-label={`Delete ${job.filename}`}
          title="Delete"
          data-testid="delete-job"
        >
          <Trash2 aria-hidden="true" />
        </button>
      )}
      <Confirm
        open={asking}
        title={`Cancel ${job.filename}?`}
        verb="Cancel job"
        keep="Keep running"
        onAnswer={(yes) => {
          setAsking(false);
          if (yes) void cancelNow();
        }}
      >
        {formatCount(job.pagesDone, 'finished page')} will be kept: a retry goes on from there.
      </Confirm>
    </div>
  );
}
