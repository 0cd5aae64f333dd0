import type { Job } from '@courant/client';
import { isMovedToLargeLane, jobStateNames } from '@courant/react/format';
import { Ban, CircleAlert, CircleCheck, Clock, LoaderCircle } from 'lucide-react';

const icons = {
  queued: Clock,
  running: LoaderCircle,
  cancelling: LoaderCircle,
  succeeded: CircleCheck,
  failed: CircleAlert,
  cancelled: Ban,
};

export function StateChip({ job }: { readonly job: Job }) {
  const Icon = icons[job.state];
  const again = job.status === 'retrying' && !isMovedToLargeLane(job);
  const label = again ? 'Trying again' : jobStateNames[job.state];
  return (
    <span className="chip" data-state={job.state} data-testid="job-state">
      <Icon aria-hidden="true" />
      {label}
    </span>
  );
}
