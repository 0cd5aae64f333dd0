import { type CourantClient, isFinished, type Job } from '@courant/client';
import { recoveryOf, useCourant } from '@courant/react';
import { RotateCw, Trash2, X } from 'lucide-react';
import { useRef, useState } from 'react';
import { Confirm } from '../ui/Confirm.tsx';
import { focusBeside, useKeptFocus } from '../ui/focus.ts';
import { count, failure } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { useRecent } from './recent.tsx';
import { removeLater } from './removal.tsx';

type Verb = 'cancel' | 'retry';

async function ask(client: CourantClient, verb: Verb, job: Job): Promise<void> {
  try {
    await client[verb](job.jobId);
  } catch (error) {
    toast({
      tone: 'bad',
      title: `${job.filename} could not be ${verb === 'retry' ? 'retried' : 'cancelled'}`,
      text: failure(error),
    });
    return;
  }
  if (verb === 'retry') return;
  const again = () => void ask(client, 'retry', job);
  toast({ tone: 'plain', title: `${job.filename} cancelled`, action: { label: 'Undo', run: again } });
}

/** Cancel while it can be cancelled; delete once it is over, and retry where that can help. */
export function Actions({ job }: { readonly job: Job }) {
  const client = useCourant();
  const { recent } = useRecent();
  const box = useRef<HTMLDivElement>(null);
  const [busy, setBusy] = useState(false);
  const kept = useKeptFocus(box, `${job.state} ${busy}`);
  const [asking, setAsking] = useState(false);
  const run = (verb: Verb) => {
    setBusy(true);
    if (verb === 'retry') recent.keep(job.jobId);
    void ask(client, verb, job).finally(() => setBusy(false));
  };
  // What has begun is not thrown away by a slip of the hand.
  const cancel = () => (job.pagesDone > 0 ? setAsking(true) : run('cancel'));
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
          onClick={() => run('retry')}
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
            focusBeside(box.current);
            removeLater(client, [job]);
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
          if (yes) run('cancel');
        }}
      >
        {count(job.pagesDone, 'finished page')} will be kept: a retry goes on from there.
      </Confirm>
    </div>
  );
}
