import { isFinished, type Job } from '@courant/client';
import { useState } from 'react';
import { useCourant } from '../context.ts';
import { useJob, useTopic } from '../hooks.ts';
import { guarded } from './boundary.tsx';
import { seconds } from './words.ts';

export interface JobProgressProps {
  readonly jobId: string;
  /** At most one update of the percent in this time, in milliseconds. Default 1000. */
  readonly minIntervalMs?: number;
  /** Cancel while it can be cancelled, retry once it can be retried. */
  readonly actions?: boolean;
}

function sentence(job: Job): string {
  if (job.state === 'queued' && job.queuePosition !== null) {
    return `Number ${job.queuePosition} in line, starts in about ${seconds(job.estimatedWait)}`;
  }
  if (job.state === 'failed' && job.error !== null) return `Failed: ${job.error.message}`;
  const left =
    isFinished(job) || job.estimatedTimeRemaining === null
      ? ''
      : `, about ${seconds(job.estimatedTimeRemaining)} left`;
  return `${job.operation}${left}`;
}

function Actions({ job }: { readonly job: Job }) {
  const client = useCourant();
  const [error, setError] = useState<string | null>(null);
  const canRetry = job.state === 'failed' || job.state === 'cancelled';
  const verb = canRetry ? 'retry' : job.state === 'queued' || job.state === 'running' ? 'cancel' : null;
  if (verb === null) return null;
  return (
    <>
      <button
        type="button"
        aria-label={`${verb === 'retry' ? 'Retry' : 'Cancel'} ${job.filename}`}
        onClick={() =>
          client[verb](job.jobId).then(
            () => setError(null),
            (reason: Error) => setError(reason.message),
          )
        }
      >
        {verb === 'retry' ? 'Retry' : 'Cancel'}
      </button>
      {error !== null && <p role="alert">{error}</p>}
    </>
  );
}

function Progress({ jobId, minIntervalMs, actions = false }: JobProgressProps) {
  const view = useJob(jobId, { minIntervalMs });
  const topic = useTopic(`job/${jobId}`);
  if (view === undefined) {
    return (
      <p role="status" data-courant="job" data-state="unknown">
        {topic.phase === 'ended' ? topic.message : 'Loading…'}
      </p>
    );
  }
  const { job } = view;
  const percent = Math.floor(job.progress);
  return (
    <section data-courant="job" data-state={job.state} aria-label={job.filename}>
      <strong>{job.filename}</strong>
      {/* Seen without any style, and styled by `::-webkit-progress-value` and `::-moz-progress-bar`. */}
      <progress
        max={100}
        value={percent}
        aria-label={`Progress of ${job.filename}`}
        aria-valuetext={`${percent} %, ${job.operation}`}
        data-courant="bar"
      />
      <p data-courant="sentence">{sentence(job)}</p>
      {/* Only what matters is said aloud: a percent each second would talk without end. */}
      <p role="status" data-courant="spoken">
        {job.state}
      </p>
      {actions && <Actions job={job} />}
    </section>
  );
}

/** One job: name, bar, sentence, and what can be done with it. */
export const JobProgress = guarded(Progress);
