import { isFinished, type Job, type JobView } from '@courant/client';
import { span, ticking, toolName, zoneNames } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';
import { movedLane } from './lane.ts';
import { PageStrip, PagesAhead } from './PageStrip.tsx';
import { Stages } from './Stages.tsx';
import { ZoneCounts } from './ZoneCounts.tsx';

/** Bar, stages, sentence, times, pages and zones of a job. */
export function Progress({ view }: { readonly view: JobView }) {
  const { job } = view;
  const percent = Math.floor(job.progress);
  return (
    <div className="progress" data-state={job.state}>
      <div className="bar-row">
        <div
          className="bar"
          role="progressbar"
          aria-label={`Progress of ${job.filename}`}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={percent}
          aria-valuetext={`${percent} %, ${job.operation}`}
          data-testid="job-progress"
        >
          <span className="bar-fill" style={{ transform: `scaleX(${job.progress / 100})` }} />
        </div>
        <span className="percent" aria-hidden="true">
          {percent}
          <small> %</small>
        </span>
      </div>
      <Stages job={job} />
      <div className="says">
        <p className="operation" data-testid="job-operation">
          {sentence(job)}
        </p>
        <Times view={view} />
      </div>
      {(job.pagesTotal ?? 0) > 0 ? <PageStrip view={view} /> : !isFinished(job) && <PagesAhead />}
      <div className="found">
        <ZoneCounts view={view} />
        {!isFinished(job) && <CurrentZone job={job} />}
      </div>
    </div>
  );
}

function sentence(job: Job): string {
  if (job.state === 'queued' && job.queuePosition !== null) {
    return job.queuePosition === 1 ? 'Next in line' : `Number ${job.queuePosition} in line`;
  }
  return movedLane(job) ? 'Waiting' : job.operation;
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
    return <p className="times muted">{job.elapsed !== null && `took ${span(job.elapsed)}`}</p>;
  }
  return <RunningTimes job={job} receivedAt={receivedAt} />;
}

function RunningTimes({ job, receivedAt }: { readonly job: Job; readonly receivedAt: number }) {
  const since = Math.max(0, (useNow() - receivedAt) / 1000);
  const parts: string[] = [];
  if (job.attempt > 1 && !movedLane(job)) parts.push(`attempt ${job.attempt}`);
  if (job.state === 'queued') {
    if (job.estimatedWait !== null)
      parts.push(`starts in about ${ticking(Math.max(1, job.estimatedWait - since))}`);
  } else {
    if (job.elapsed !== null) parts.push(ticking(job.elapsed + since));
    if (job.estimatedTimeRemaining !== null) {
      parts.push(`about ${ticking(Math.max(1, job.estimatedTimeRemaining - since))} left`);
    }
  }
  return (
    <p className="times muted" data-testid="job-times">
      {parts.join(' · ')}
    </p>
  );
}
