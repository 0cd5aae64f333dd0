import { isFinished, type Job, type JobView } from '@courant/client';
import {
  formatDuration,
  formatWholeSeconds,
  isMovedToLargeLane,
  jobActivity,
  jobEstimate,
  jobProgressText,
} from '@courant/react/format';
import { formatDateTime, toolName, zoneNames } from '../ui/format.ts';
import { ProgressRow } from '../ui/ProgressBar.tsx';
import { useNow } from '../ui/useNow.ts';
import { hasPages } from './job-pages.ts';
import { PageStrip, PageStripPlaceholder } from './PageStrip.tsx';
import { Stages } from './Stages.tsx';
import { ZoneCounts } from './ZoneCounts.tsx';

/** Bar, sentence and times of a job, and its stages, pages and zones if it is work on pages. */
export function Progress({ view }: { readonly view: JobView }) {
  const { job } = view;
  return (
    <div className="progress" data-state={job.state}>
      <ProgressRow
        label={`Progress of ${job.filename}`}
        percent={job.progress}
        text={jobProgressText(job)}
        testId="job-progress"
      />
      {hasPages(job) && <Stages job={job} />}
      <div className="job-line">
        <p className="operation" data-testid="job-operation">
          {isFinished(job) ? job.endTime && `Ended ${formatDateTime(job.endTime)}` : jobActivity(job)}
        </p>
        <Times view={view} />
      </div>
      {hasPages(job) && <Pages view={view} />}
    </div>
  );
}

function Pages({ view }: { readonly view: JobView }) {
  const { job } = view;
  return (
    <>
      {(job.pagesTotal ?? 0) > 0 ? <PageStrip view={view} /> : !isFinished(job) && <PageStripPlaceholder />}
      <div className="zones-line">
        <ZoneCounts view={view} />
        {!isFinished(job) && <CurrentZone job={job} />}
      </div>
    </>
  );
}

function CurrentZone({ job: { currentZone } }: { readonly job: Job }) {
  return (
    <p className="muted small current-zone" data-testid="job-current-zone">
      {currentZone &&
        `Page ${currentZone.page}: ${zoneNames[currentZone.kind][0]}, ${toolName(currentZone.tool)}`}
    </p>
  );
}

function Times({ view: { job, receivedAt } }: { readonly view: JobView }) {
  if (isFinished(job)) {
    return <p className="times muted">{job.elapsed !== null && `took ${formatDuration(job.elapsed)}`}</p>;
  }
  return <RunningTimes job={job} receivedAt={receivedAt} />;
}

function RunningTimes({ job, receivedAt }: { readonly job: Job; readonly receivedAt: number }) {
  const since = Math.max(0, (useNow() - receivedAt) / 1000);
  const parts = [
    job.attempt > 1 && !isMovedToLargeLane(job) ? `attempt ${job.attempt}` : null,
    job.state !== 'queued' && job.elapsed !== null ? formatWholeSeconds(job.elapsed + since) : null,
    jobEstimate(job, since),
  ];
  return (
    <p className="times muted" data-testid="job-times">
      {parts.filter((part) => part !== null).join(' · ')}
    </p>
  );
}
