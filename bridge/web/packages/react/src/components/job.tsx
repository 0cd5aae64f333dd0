import type { Job } from '@courant/client';
import {
  errorMessage,
  jobActivity,
  jobEstimate,
  jobProgressText,
  jobStateNames,
  recoveryAdvice,
} from '../format.ts';
import { useJob, useTopic } from '../hooks.ts';
import { type JobActions, useJobActions } from '../job-actions.ts';
import { recoveryOf } from '../recovery.ts';
import { withErrorBoundary } from './boundary.tsx';
import { PasswordForm } from './password.tsx';

export interface JobProgressProps {
  readonly jobId: string;
  /** At most one update of the percent in this time, in milliseconds. Default 1000. */
  readonly minIntervalMs?: number;
  /** Cancel while it can be cancelled; once it failed, what can help: retry, a password, or word that neither can. */
  readonly actions?: boolean;
}

function sentence(job: Job): string {
  if (job.state === 'failed' && job.error !== null) return `Failed: ${job.error.message}`;
  const estimate = jobEstimate(job);
  return estimate === null ? jobActivity(job) : `${jobActivity(job)}, ${estimate}`;
}

function Actions({ job }: { readonly job: Job }) {
  const actions = useJobActions(job);
  return (
    <>
      <Choice job={job} actions={actions} />
      {actions.error !== null && <p role="alert">{errorMessage(actions.error)}</p>}
    </>
  );
}

function Choice({ job, actions }: { readonly job: Job; readonly actions: JobActions }) {
  const { filename, state } = job;
  const { busy, cancel, retry } = actions;
  const recovery = recoveryOf(job);
  switch (recovery) {
    case 'retry':
      return <Button verb="Retry" name={filename} busy={busy} onClick={() => retry()} />;
    case 'password':
      return (
        <PasswordForm
          label={`Password of ${filename}`}
          busy={busy}
          onPassword={(password) => retry({ password })}
        />
      );
    case 'new-document':
      return <p data-courant="help">{recoveryAdvice[recovery]}</p>;
    case 'change':
      return (
        <>
          <p data-courant="help">{recoveryAdvice[recovery]}</p>
          <Button verb="Retry anyway" name={filename} busy={busy} onClick={() => retry()} />
        </>
      );
    case null:
      return state === 'queued' || state === 'running' ? (
        <Button verb="Cancel" name={filename} busy={busy} onClick={() => cancel()} />
      ) : null;
  }
}

interface ButtonProps {
  readonly verb: string;
  readonly name: string;
  readonly busy: boolean;
  readonly onClick: () => void;
}

function Button({ verb, name, busy, onClick }: ButtonProps) {
  return (
    <button type="button" aria-label={`${verb} ${name}`} disabled={busy} onClick={onClick}>
      {verb}
    </button>
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
  return (
    <section data-courant="job" data-state={job.state} aria-label={job.filename}>
      <strong>{job.filename}</strong>
      {/* Seen without any style, and styled by `::-webkit-progress-value` and `::-moz-progress-bar`. */}
      <progress
        max={100}
        value={Math.floor(job.progress)}
        aria-label={`Progress of ${job.filename}`}
        aria-valuetext={jobProgressText(job)}
        data-courant="bar"
      />
      <p data-courant="sentence">{sentence(job)}</p>
      {/* Only the state is announced: a percent each second would never stop. */}
      <p role="status" data-courant="spoken">
        {jobStateNames[job.state]}
      </p>
      {actions && <Actions job={job} />}
    </section>
  );
}

/** One job: name, bar, sentence, and what can be done with it. */
export const JobProgress = withErrorBoundary(Progress);
