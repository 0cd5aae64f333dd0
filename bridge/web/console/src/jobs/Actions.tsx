import type { CourantClient, Job } from '@courant/client';
import { useCourant } from '@courant/react';
import { RotateCw, X } from 'lucide-react';
import { useState } from 'react';
import { failure } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';

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
  }
}

/** Cancel while it can be cancelled, retry once it can be retried. */
export function Actions({ job }: { readonly job: Job }) {
  const client = useCourant();
  const [busy, setBusy] = useState(false);
  const run = (verb: Verb) => {
    setBusy(true);
    void ask(client, verb, job).finally(() => setBusy(false));
  };
  if (job.state === 'queued' || job.state === 'running') {
    return (
      <button
        type="button"
        className="button small"
        disabled={busy}
        onClick={() => run('cancel')}
        aria-label={`Cancel ${job.filename}`}
        data-testid="cancel-job"
      >
        <X aria-hidden="true" />
        Cancel
      </button>
    );
  }
  if (job.state === 'failed' || job.state === 'cancelled') {
    return (
      <button
        type="button"
        className="button small"
        disabled={busy}
        onClick={() => run('retry')}
        aria-label={`Retry ${job.filename}`}
        data-testid="retry-job"
      >
        <RotateCw aria-hidden="true" />
        Retry
      </button>
    );
  }
  return null;
}
