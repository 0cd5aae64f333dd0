import { isFinished, type JobView } from '@courant/client';
import type { Queue, QueueLane } from '@courant/client/service';
import { useJobs, useQueueStatus, useTopic } from '@courant/react';
import { estimatedWaitText, formatCount, formatDuration, formatWholeSeconds } from '@courant/react/format';
import { jobHref } from '../shell/route.ts';
import { useNow } from '../ui/useNow.ts';
import { useTitle } from '../ui/useTitle.ts';
import { Unserved } from './Unserved.tsx';

/** What waits, how long, and who works; and where one's own jobs stand. */
export default function QueuePage() {
  useTitle('Queue');
  const queue = useQueueStatus();
  const topic = useTopic('queue');
  return (
    <div className="page" data-testid="queue-page">
      <h1>Queue</h1>
      {topic.phase === 'ended' && (
        <p className="note bad" role="alert">
          The queue cannot be watched: {topic.message}.
        </p>
      )}
      {queue === null ? (
        topic.phase !== 'ended' && <div className="skeleton-card" aria-busy="true" />
      ) : (
        <Overview queue={queue} />
      )}
      {(queue !== null || topic.phase === 'ended') && <MyQueuedJobs />}
    </div>
  );
}

function Overview({ queue }: { readonly queue: Queue }) {
  const waiting = queue.lanes.reduce((sum, lane) => sum + lane.waiting + lane.delayed, 0);
  const most = Math.max(1, ...queue.lanes.map((lane) => lane.waiting + lane.delayed + lane.active));
  return (
    <>
      <Unserved kinds={queue.unservedKinds} />
      <dl className="tiles">
        <Tile name="Waiting" value={waiting.toLocaleString('en')} />
        <Tile name="Processing" value={queue.slotsUsed.toLocaleString('en')} of={queue.slotsTotal} />
        <Tile name="Workers busy" value={queue.workersActive.toLocaleString('en')} of={queue.workersTotal} />
      </dl>
      <section className="panel" aria-labelledby="lanes-title">
        <div className="panel-head">
          <h2 id="lanes-title">Lanes</h2>
        </div>
        {queue.lanes.length === 0 ? (
          <p className="empty muted">No lane is in use, and no worker is connected.</p>
        ) : (
          <ul className="lanes">
            {queue.lanes.map((lane) => (
              <Lane key={`${lane.kind} ${lane.lane}`} lane={lane} most={most} />
            ))}
          </ul>
        )}
      </section>
    </>
  );
}

export function Tile({
  name,
  value,
  of,
}: {
  readonly name: string;
  readonly value: string;
  readonly of?: number;
}) {
  return (
    <div className="tile">
      <dt>{name}</dt>
      <dd>
        {value}
        {of !== undefined && <small> of {of.toLocaleString('en')}</small>}
      </dd>
    </div>
  );
}

function Lane({ lane, most }: { readonly lane: QueueLane; readonly most: number }) {
  const { active, averageWait, delayed, kind, lane: name, oldestWait, pagesWaiting, share, waiting } = lane;
  const facts: readonly (readonly [string, string])[] = [
    ['Estimated wait', estimatedWaitText(lane)],
    ['Recent wait', averageWait === null ? '–' : formatDuration(averageWait)],
    ['Longest wait', oldestWait === null ? '–' : formatDuration(oldestWait)],
    ['Pages waiting', pagesWaiting.toLocaleString('en')],
    ['Share', `${Math.round(share * 100)} %`],
  ];
  const part = (jobs: number) => ({ flexGrow: jobs / most });
  return (
    <li className="lane" data-testid="lane" data-lane={name}>
      <p className="lane-name">
        <strong>{name}</strong> <span className="muted">{kind}</span>
      </p>
      <p className="lane-words">
        {active} processing · {waiting} waiting{delayed > 0 && ` · ${delayed} for a retry`}
      </p>
      <div className="lane-bar" aria-hidden="true">
        <span data-part="active" style={part(active)} />
        <span data-part="waiting" style={part(waiting)} />
        <span data-part="delayed" style={part(delayed)} />
        <span style={{ flexGrow: Math.max(0, 1 - (active + waiting + delayed) / most) }} />
      </div>
      <dl className="lane-facts">
        {facts.map(([fact, value]) => (
          <div key={fact}>
            <dt>{fact}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </li>
  );
}

function MyQueuedJobs() {
  const waiting = useJobs()
    .jobs.filter(({ job }) => !isFinished(job) && job.state === 'queued')
    .sort((a, b) => (a.job.queuePosition ?? 1e9) - (b.job.queuePosition ?? 1e9));
  return (
    <section className="panel" aria-labelledby="mine-title">
      <div className="panel-head">
        <h2 id="mine-title">My queued jobs</h2>
        <span className="muted small">{formatCount(waiting.length, 'job')} waiting</span>
      </div>
      {waiting.length === 0 ? (
        <p className="empty muted">You have no queued jobs.</p>
      ) : (
        <ol className="queued-jobs">
          {waiting.map((view) => (
            <QueuedJob key={view.job.jobId} view={view} />
          ))}
        </ol>
      )}
    </section>
  );
}

function QueuedJob({ view: { job, receivedAt } }: { readonly view: JobView }) {
  const since = (useNow() - receivedAt) / 1000;
  return (
    <li>
      <span className="queued-position">{job.queuePosition ?? '–'}</span>
      <a href={jobHref(job.jobId)} className="row-name" dir="auto" title={job.filename}>
        {job.filename}
      </a>
      <span className="muted small">{job.lane}</span>
      <span className="muted small nowrap">
        {job.estimatedWait === null
          ? ''
          : `in about ${formatWholeSeconds(Math.max(1, job.estimatedWait - since))}`}
      </span>
    </li>
  );
}
