import type { JobView } from '@courant/client';
import { formatCount, formatDuration, sentenceCase } from '@courant/react/format';
import { ArrowRight } from 'lucide-react';
import { historyPage, jobHref } from '../shell/route.ts';
import { formatAgo, formatBytes, formatDateTime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';
import { Actions } from './Actions.tsx';
import { StateChip } from './StateChip.tsx';

const atMost = 12;

interface Props {
  readonly views: readonly JobView[];
  /** There are older ones that are not among them. */
  readonly hasMore: boolean;
  readonly loading: boolean;
}

/** The newest finished jobs; the history has all of them. */
export function FinishedJobs({ views, hasMore, loading }: Props) {
  if (loading) return <Skeleton />;
  if (views.length === 0) return null;
  const isCut = hasMore || views.length > atMost;
  return (
    <section aria-labelledby="earlier-title" data-testid="earlier">
      <div className="section-head">
        <h2 id="earlier-title">Earlier</h2>
        {isCut && (
          <span className="muted small" data-testid="earlier-count">
            Newest {Math.min(atMost, views.length)} of {views.length.toLocaleString('en')}
            {hasMore && ' or more'}
          </span>
        )}
        <a className="more-link" href={historyPage} data-testid="all-history">
          All jobs
          <ArrowRight aria-hidden="true" />
        </a>
      </div>
      <ul className="rows">
        {views.slice(0, atMost).map((view) => (
          <Row key={view.job.jobId} view={view} />
        ))}
      </ul>
    </section>
  );
}

function Row({ view: { job } }: { readonly view: JobView }) {
  const now = useNow();
  const end = job.endTime ?? job.createTime;
  const facts = [
    job.pagesTotal === null ? null : formatCount(job.pagesTotal, 'page'),
    formatBytes(job.documentBytes),
    job.elapsed === null ? null : formatDuration(job.elapsed),
    // The longest last: it is cut off where space is short.
    job.state === 'failed' && job.error !== null ? sentenceCase(job.error.message) : null,
  ].filter((fact) => fact != null);
  return (
    <li className="row-job" data-testid="job-card" data-job-id={job.jobId} data-state={job.state}>
      <StateChip job={job} />
      <div className="row-words">
        <a
          href={jobHref(job.jobId)}
          className="row-name"
          dir="auto"
          title={job.filename}
          data-testid="open-job"
        >
          {job.filename}
        </a>
        <span className="muted small row-facts">{facts.join(' · ')}</span>
      </div>
      <time className="muted small nowrap" dateTime={end} title={formatDateTime(end)}>
        {formatAgo(end, now)}
      </time>
      <Actions job={job} />
    </li>
  );
}

function Skeleton() {
  return (
    <div className="rows skeleton" aria-hidden="true">
      <div className="row-job" />
      <div className="row-job" />
      <div className="row-job" />
    </div>
  );
}
