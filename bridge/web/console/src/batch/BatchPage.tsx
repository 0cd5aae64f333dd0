import { isFinished, type Job, type JobView } from '@courant/client';
import { cancelBatch } from '@courant/client/service';
import { useCourant, useTopic } from '@courant/react';
import { errorMessage, formatCount, formatDuration } from '@courant/react/format';
import { ArrowLeft, Layers, X } from 'lucide-react';
import { useState } from 'react';
import { JobCard } from '../jobs/JobCard.tsx';
import { historyPage, home } from '../shell/route.ts';
import { Confirm } from '../ui/Confirm.tsx';
import { ProgressRow } from '../ui/ProgressBar.tsx';
import { toast } from '../ui/toasts.ts';
import { useNow } from '../ui/useNow.ts';
import { useTitle } from '../ui/useTitle.ts';
import { useUploads } from '../upload/context.tsx';
import { progressOf } from './progress.ts';
import { useBatchJobs } from './useBatchJobs.ts';

const unfinishedFirst = (a: JobView, b: JobView): number =>
  Number(isFinished(a.job)) - Number(isFinished(b.job));

/** Several documents that were submitted together, as one. */
export default function BatchPage({ batchId }: { readonly batchId: string }) {
  useTitle('Batch');
  const topic = useTopic(`batch/${batchId}`);
  const { views, loading: asking, error, reload } = useBatchJobs(batchId);
  const notSubmitted = useUploads().list.filter(({ batch }) => batch?.id === batchId).length;
  const loading = asking || topic.phase === 'waiting' || topic.phase === 'loading';
  return (
    <div className="page" data-testid="batch" data-batch-id={batchId}>
      <a className="back" href={home} data-testid="back">
        <ArrowLeft aria-hidden="true" />
        All jobs
      </a>
      {error !== null && (
        <div className="note warn" role="alert" data-testid="batch-incomplete">
          Some jobs of this batch may be missing: {error}{' '}
          <button type="button" className="button small" onClick={reload}>
            Try again
          </button>
        </div>
      )}
      {views.length + notSubmitted === 0 ? (
        loading || error !== null ? (
          <div className="skeleton-card" aria-busy="true" />
        ) : (
          <div className="panel empty-panel" role="alert">
            <Layers aria-hidden="true" />
            <strong>There is no such batch</strong>
            <p className="muted">
              It belongs to somebody else, or its jobs are gone: they were deleted, or they expired.
            </p>
            <a className="button small" href={historyPage}>
              Look in the history
            </a>
          </div>
        )
      ) : (
        <>
          <Summary
            batchId={batchId}
            jobs={views.map(({ job }) => job)}
            receivedAt={Math.max(0, ...views.map((view) => view.receivedAt))}
            notSubmitted={notSubmitted}
          />
          <div className="cards">
            {[...views].sort(unfinishedFirst).map((view) => (
              <JobCard key={view.job.jobId} view={view} />
            ))}
          </div>
        </>
      )}
    </div>
  );
}

function useTimeLeft(jobs: readonly Job[], receivedAt: number): string | null {
  const now = useNow();
  const left = jobs
    .filter((job) => !isFinished(job))
    .map((job) => (job.estimatedWait ?? 0) + (job.estimatedTimeRemaining ?? 0));
  const longest = Math.max(0, ...left) - (now - receivedAt) / 1000;
  return left.length === 0 || longest <= 0 ? null : `about ${formatDuration(longest)} left`;
}

interface SummaryProps {
  readonly batchId: string;
  readonly jobs: readonly Job[];
  readonly receivedAt: number;
  /** Files of this browser that are still on their way. */
  readonly notSubmitted: number;
}

function Summary({ batchId, jobs, receivedAt, notSubmitted }: SummaryProps) {
  const percent = Math.floor(progressOf(jobs, notSubmitted));
  const left = useTimeLeft(jobs, receivedAt);
  const of = (state: Job['state']): number => jobs.filter((job) => job.state === state).length;
  const pages = jobs.reduce((sum, job) => sum + job.pagesDone, 0);
  const counts = [
    ['succeeded', 'Succeeded', of('succeeded')],
    ['running', 'Running', of('running') + of('cancelling')],
    ['queued', 'Waiting', of('queued')],
    ['failed', 'Failed', of('failed')],
    ['cancelled', 'Cancelled', of('cancelled')],
  ] as const;
  return (
    <div className="card batch-card">
      <div className="card-head">
        <div className="card-title">
          <h1 className="detail-name">Batch of {formatCount(jobs.length + notSubmitted, 'document')}</h1>
          <p className="muted small">
            {formatCount(pages, 'page')} read
            {notSubmitted > 0 && ` · ${formatCount(notSubmitted, 'file')} not submitted yet`}
            {left && ` · ${left}`}
          </p>
        </div>
        <CancelAll batchId={batchId} jobs={jobs} />
      </div>
      <ProgressRow label="Progress of the batch" percent={percent} testId="batch-progress" />
      <dl className="batch-counts">
        {counts.map(([state, label, number]) => (
          <div key={state} data-state={state} data-none={number === 0}>
            <dt>{label}</dt>
            <dd>{number}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function CancelAll({ batchId, jobs }: Pick<SummaryProps, 'batchId' | 'jobs'>) {
  const client = useCourant();
  const [asking, setAsking] = useState(false);
  const open = jobs.filter(({ state }) => state === 'queued' || state === 'running');
  if (open.length === 0) return null;
  const cancel = async () => {
    try {
      await cancelBatch(client, batchId);
    } catch {
      // Away, or somebody else's batch: job by job, which waits for the network.
      const ended = await Promise.allSettled(open.map(({ jobId }) => client.cancel(jobId)));
      const failed = ended.find((each) => each.status === 'rejected');
      if (failed)
        toast({ tone: 'bad', title: 'Not all jobs could be cancelled', text: errorMessage(failed.reason) });
    }
  };
  return (
    <>
      <button
        type="button"
        className="button small"
        onClick={() => setAsking(true)}
        data-testid="cancel-batch"
      >
        <X aria-hidden="true" />
        Cancel all
      </button>
      <Confirm
        open={asking}
        title={`Cancel ${formatCount(open.length, 'job')}?`}
        verb="Cancel jobs"
        keep="Keep running"
        onAnswer={(yes) => {
          setAsking(false);
          if (yes) void cancel();
        }}
      >
        Pages that are done are kept; each of them can be tried again.
      </Confirm>
    </>
  );
}
