import type { Job } from '@courant/client';
import { formatCount, formatDuration } from '@courant/react/format';
import { formatBytes, formatDateTime } from '../ui/format.ts';
import { Parameters } from './Parameters.tsx';

/** The small print of a job. */
export function JobDetails({ job }: { readonly job: Job }) {
  const facts: readonly (readonly [string, string | null])[] = [
    ['Job', job.jobId],
    ['Document', job.documentId],
    ['Size', formatBytes(job.documentBytes)],
    ['Kind', job.kind],
    ['Lane', job.lane],
    ['Submitted', formatDateTime(job.createTime)],
    ['Started', job.startTime && formatDateTime(job.startTime)],
    ['Ended', job.endTime && formatDateTime(job.endTime)],
    ['Attempt', job.attempt === 0 ? null : String(job.attempt)],
    ['SHA-256', job.documentSha256],
  ];
  // The error of the last attempt is shown above.
  const earlier = job.attempts.filter(({ number }) => job.state !== 'failed' || number !== job.attempt);
  const first = job.attempts[0]?.number ?? 1;
  return (
    <section className="facts" aria-labelledby="facts-title">
      <h2 id="facts-title">Details</h2>
      <dl>
        {facts.map(([name, value]) =>
          value ? (
            <div key={name} data-long={name === 'SHA-256'}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ) : null,
        )}
      </dl>
      <Parameters job={job} />
      {earlier.length > 0 && (
        <>
          <h3>Earlier attempts</h3>
          <ul className="attempts">
            {first > 1 && <li className="muted">Attempts before {first} are not listed.</li>}
            {earlier.map(({ number, startTime, endTime, error, pagesDone }) => (
              <li key={number}>
                <strong>Attempt {number}</strong> finished {formatCount(pagesDone, 'page')}
                {startTime &&
                  endTime &&
                  ` in ${formatDuration((Date.parse(endTime) - Date.parse(startTime)) / 1000)}`}
                {error && `: ${error.message} (${error.code})`}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
