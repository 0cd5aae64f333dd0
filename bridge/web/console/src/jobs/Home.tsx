import { isFinished, type JobView } from '@courant/client';
import { useCourant, useJobs, useTopic } from '@courant/react';
import { formatCount } from '@courant/react/format';
import { useEffect, useState } from 'react';
import { useUploads } from '../upload/context.tsx';
import { DropZone } from '../upload/DropZone.tsx';
import { UploadCard } from '../upload/UploadCard.tsx';
import { BatchStrip } from './BatchStrip.tsx';
import { CardPositions, orderCards } from './card-order.ts';
import { usePendingDeletes } from './delayed-delete.tsx';
import { FinishedJobs } from './FinishedJobs.tsx';
import { JobCard } from './JobCard.tsx';
import { useRecentJobs } from './recent-jobs.tsx';

/** The tab says how much is under way. */
function useTitle(running: number): void {
  useEffect(() => {
    document.title = running === 0 ? 'Courant' : `${formatCount(running, 'job')} – Courant`;
    return () => {
      document.title = 'Courant';
    };
  }, [running]);
}

export function Home() {
  const client = useCourant();
  const hidden = usePendingDeletes();
  const { jobs, hasMore } = useJobs({ minIntervalMs: 250 });
  const views = jobs.filter(({ job }) => !hidden.has(job.jobId));
  const { ids, recent } = useRecentJobs();
  const { list: uploads } = useUploads();
  const topic = useTopic('mine');
  const loading = topic.phase === 'waiting' || topic.phase === 'loading';

  const onStage = (view: JobView): boolean => ids.has(view.job.jobId) || !isFinished(view.job);
  const current = views.filter(onStage);
  const past = views.filter((view) => !onStage(view));
  const nothing = views.length === 0 && uploads.length === 0;
  const done = current.filter(({ job }) => isFinished(job)).length;
  const [positions] = useState(() => new CardPositions());
  positions.keep(uploads, views);
  const cards = orderCards(uploads, current, positions);
  useTitle(current.length - done);

  return (
    <div className="home">
      <DropZone large={nothing} />
      {topic.phase === 'ended' && (
        <div className="note bad" role="alert">
          Your jobs cannot be watched: {topic.message}.{' '}
          <button type="button" className="button small" onClick={() => client.reconnect()}>
            Try again
          </button>
        </div>
      )}
      {(current.length > 0 || uploads.length > 0) && (
        <section aria-labelledby="current-title">
          <div className="section-head">
            <h2 id="current-title">Now</h2>
            {done > 0 && (
              <button
                type="button"
                className="button small"
                onClick={() => recent.clear()}
                data-testid="clear-finished"
              >
                Move finished to history
              </button>
            )}
          </div>
          <BatchStrip cards={cards} />
          <div className="cards">
            {cards.map(({ upload, view }) =>
              upload ? (
                <UploadCard key={upload.id} upload={upload} />
              ) : (
                <JobCard key={view.job.jobId} view={view} />
              ),
            )}
          </div>
        </section>
      )}
      <FinishedJobs views={past} hasMore={hasMore} loading={loading && views.length === 0} />
    </div>
  );
}
