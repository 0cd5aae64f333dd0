import type { Job } from '@courant/client';
import { formatCount, isMovedToLargeLane, sentenceCase } from '@courant/react/format';
import { ChevronDown, CircleAlert, TriangleAlert } from 'lucide-react';
import { useNow } from '../ui/useNow.ts';
import { Help } from './RecoveryHelp.tsx';

/** So many the server keeps of a job. */
const keptWarnings = 100;

function RetryIn({ time }: { readonly time: string }) {
  const seconds = Math.ceil((Date.parse(time) - useNow()) / 1000);
  return <> Next try {seconds > 0 ? `in ${seconds} s` : 'any moment'}.</>;
}

/** What went wrong and what to do about it; and what a reader of the result should know. */
export function JobProblems({ job }: { readonly job: Job }) {
  const { error, warnings } = job;
  const moved = isMovedToLargeLane(job);
  const showError = error !== null && job.state !== 'succeeded' && !moved;
  const failedExports = job.result?.formats.filter(({ state }) => state === 'failed') ?? [];
  return (
    <>
      {moved && (
        <p className="note plain" data-testid="job-moved">
          A document of this size waits in the large lane; smaller ones go first.
        </p>
      )}
      {showError && (
        <div
          className={job.state === 'failed' ? 'note bad' : 'note warn'}
          data-testid="job-error"
          data-code={error.code}
        >
          <CircleAlert aria-hidden="true" />
          <div>
            <strong>
              {job.state !== 'failed' &&
                `Attempt ${job.attempts.at(-1)?.number ?? job.attempt} ended early. `}
              {sentenceCase(error.message)}
            </strong>
            <Help job={job} />
            <p className="small muted">
              {error.code}
              {job.state === 'failed' && job.attempt > 1 && ` · attempt ${job.attempt}`}
              {job.retryTime !== null && job.state === 'queued' && <RetryIn time={job.retryTime} />}
            </p>
          </div>
        </div>
      )}
      {failedExports.map(({ format, error: reason }) => (
        <div key={format} className="note warn">
          <TriangleAlert aria-hidden="true" />
          <div>
            The {format} result could not be written{reason ? `: ${reason.message}` : ''}.
          </div>
        </div>
      ))}
      {warnings.length > 0 && (
        <details className="note warn" data-testid="job-warnings">
          <summary>
            <TriangleAlert aria-hidden="true" />
            {warnings.length >= keptWarnings
              ? `${keptWarnings} or more warnings`
              : formatCount(warnings.length, 'warning')}
            <ChevronDown className="chevron" aria-hidden="true" />
          </summary>
          <ul>
            {warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
            {warnings.length >= keptWarnings && (
              <li>Only the first {keptWarnings} are kept. Each page shows its own.</li>
            )}
          </ul>
        </details>
      )}
    </>
  );
}
