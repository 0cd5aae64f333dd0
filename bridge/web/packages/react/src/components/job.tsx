import { isFinished, type Job } from '@courant/client';
import { type FormEvent, useState } from 'react';
import { useCourant } from '../context.ts';
import { useJob, useTopic } from '../hooks.ts';
import { recoveryOf } from '../recovery.ts';
import { guarded } from './boundary.tsx';
import { seconds } from './words.ts';

export interface JobProgressProps {
  readonly jobId: string;
  /** At most one update of the percent in this time, in milliseconds. Default 1000. */
  readonly minIntervalMs?: number;
  /** Cancel while it can be cancelled; once it failed, what can help: retry, a password, or word that neither can. */
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

interface ChoiceProps {
  readonly job: Job;
  readonly run: (work: Promise<unknown>) => void;
}

function Actions({ job }: { readonly job: Job }) {
  const [error, setError] = useState<string | null>(null);
  const run = (work: Promise<unknown>) => {
    work.then(
      () => setError(null),
      (reason: Error) => setError(reason.message),
    );
  };
  return (
    <>
      <Choice job={job} run={run} />
      {error !== null && <p role="alert">{error}</p>}
    </>
  );
}

function Choice({ job, run }: ChoiceProps) {
  const client = useCourant();
  const { filename, jobId, state } = job;
  switch (recoveryOf(job)) {
    case 'retry':
      return <Button verb="Retry" name={filename} onClick={() => run(client.retry(jobId))} />;
    case 'password':
      return <Password job={job} run={run} />;
    case 'new-document':
      return <p data-courant="help">Retrying cannot help. Submit a mended copy of the document.</p>;
    case 'change':
      return (
        <>
          <p data-courant="help">
            Retrying gives the same result unless something has changed on the server.
          </p>
          <Button verb="Retry anyway" name={filename} onClick={() => run(client.retry(jobId))} />
        </>
      );
    case null:
      return state === 'queued' || state === 'running' ? (
        <Button verb="Cancel" name={filename} onClick={() => run(client.cancel(jobId))} />
      ) : null;
  }
}

function Button(props: { readonly verb: string; readonly name: string; readonly onClick: () => void }) {
  const { verb, name, onClick } = props;
  return (
    <button type="button" aria-label={`${verb} ${name}`} onClick={onClick}>
      {verb}
    </button>
  );
}

function Password({ job, run }: ChoiceProps) {
  const client = useCourant();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const password = String(new FormData(event.currentTarget).get('password') ?? '');
    run(client.retry(job.jobId, { password }));
  };
  return (
    <form onSubmit={submit} data-courant="password">
      <label>
        Password of {job.filename}{' '}
        <input name="password" type="password" autoComplete="off" required maxLength={1024} />
      </label>
      <button type="submit">Open</button>
    </form>
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
