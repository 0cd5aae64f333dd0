import { isFinished, type JobView } from '@courant/client';
import { formatCount } from '@courant/react/format';
import { FileText } from 'lucide-react';
import { memo } from 'react';
import { jobHref } from '../shell/route.ts';
import { formatBytes } from '../ui/format.ts';
import { Actions } from './Actions.tsx';
import { Downloads } from './Downloads.tsx';
import { JobProblems } from './JobProblems.tsx';
import { Progress } from './Progress.tsx';
import { StateChip } from './StateChip.tsx';

/** One job, live. Renders again only when the job changed. */
export const JobCard = memo(function JobCard({ view }: { readonly view: JobView }) {
  const { job } = view;
  const pages = job.pagesTotal === null ? null : formatCount(job.pagesTotal, 'page');
  return (
    <article
      className="card job"
      data-testid="job-card"
      data-job-id={job.jobId}
      data-state={job.state}
      aria-label={job.filename}
    >
      <div className="card-head">
        <FileText className="card-icon" aria-hidden="true" />
        <div className="card-title">
          <h3 className="card-name" dir="auto">
            <a href={jobHref(job.jobId)} title={job.filename} data-testid="open-job">
              {job.filename}
            </a>
          </h3>
          <p className="muted small">{[pages, formatBytes(job.documentBytes)].filter(Boolean).join(' · ')}</p>
        </div>
        <StateChip job={job} />
        <Actions job={job} />
      </div>
      <Progress view={view} />
      <JobProblems job={job} />
      {isFinished(job) && <Downloads job={job} />}
    </article>
  );
});
