import { isFinished, type JobView } from '@courant/client';
import { useCourant, useJob, useTopic } from '@courant/react';
import { sentenceCase } from '@courant/react/format';
import { ArrowLeft, FileX2, Layers } from 'lucide-react';
import { useEffect, useState } from 'react';
import { Actions } from '../jobs/Actions.tsx';
import { JobProblems } from '../jobs/JobProblems.tsx';
import { Progress } from '../jobs/Progress.tsx';
import { StateChip } from '../jobs/StateChip.tsx';
import { batchHref, historyPage, home } from '../shell/route.ts';
import { firstCursor } from '../upload/uploads.ts';
import { JobDetails } from './JobDetails.tsx';
import { Results } from './Results.tsx';
import { useDocument } from './useResult.ts';

export function JobPage({ jobId }: { readonly jobId: string }) {
  const client = useCourant();
  const [known] = useState(() => client.jobs.get(jobId));
  // Missed events are replayed from the first one, unless this page has seen all of them.
  const [after] = useState(() => (known && complete(known) ? undefined : firstCursor(jobId)));
  const view = useJob(jobId, { after, minIntervalMs: 250 });
  const topic = useTopic(`job/${jobId}`);
  useTitle(view);
  useEffect(() => void scrollTo(0, 0), []);

  if (topic.phase === 'ended' && view === undefined) return <Missing message={topic.message} />;
  if (view === undefined) return <Loading />;
  return <Loaded view={view} />;
}

function complete({ job, pages }: JobView): boolean {
  return pages.filter(Boolean).length >= job.pagesDone;
}

function useTitle(view: JobView | undefined): void {
  const name = view?.job.filename;
  const progress = view === undefined || isFinished(view.job) ? null : Math.floor(view.job.progress);
  useEffect(() => {
    if (name !== undefined) document.title = `${progress === null ? '' : `${progress} % `}${name} – Courant`;
    return () => {
      document.title = 'Courant';
    };
  }, [name, progress]);
}

function Back({ batchId = null }: { readonly batchId?: string | null }) {
  return (
    <div className="crumbs">
      <a className="back" href={home} data-testid="back">
        <ArrowLeft aria-hidden="true" />
        All jobs
      </a>
      {batchId !== null && (
        <a className="back" href={batchHref(batchId)} data-testid="open-batch">
          <Layers aria-hidden="true" />
          View batch
        </a>
      )}
    </div>
  );
}

function Missing({ message }: { readonly message: string }) {
  return (
    <div className="detail">
      <Back />
      <div className="panel empty-panel" role="alert" data-testid="job-missing">
        <FileX2 aria-hidden="true" />
        <strong>This job cannot be shown</strong>
        <p className="muted">{sentenceCase(message)}. It may have been deleted, or it expired.</p>
        <a className="button small" href={historyPage}>
          Look in the history
        </a>
      </div>
    </div>
  );
}

function Loading() {
  return (
    <div className="detail" aria-busy="true">
      <Back />
      <div className="card skeleton-card" />
    </div>
  );
}

function Loaded({ view }: { readonly view: JobView }) {
  const { job } = view;
  const document = useDocument(job);
  const [live] = useState(() => !isFinished(job));
  return (
    <div
      className="detail"
      data-testid="job-detail"
      data-job-id={job.jobId}
      data-state={job.state}
      data-live={live}
    >
      <Back batchId={job.batchId} />
      <div className="card job">
        <div className="card-head">
          <div className="card-title">
            <h1 className="detail-name" dir="auto">
              {job.filename}
            </h1>
          </div>
          <StateChip job={job} />
          <Actions job={job} />
        </div>
        <Progress view={view} />
        <JobProblems job={job} />
      </div>
      <Results view={view} document={document} />
      <JobDetails job={job} />
    </div>
  );
}
