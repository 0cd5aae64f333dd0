import { drainWorker, type Worker } from '@courant/client/service';
import { useCourant, useWorkers } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useState } from 'react';
import { jobHref } from '../shell/route.ts';
import { Confirm } from '../ui/Confirm.tsx';
import { formatAgo } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { useNow } from '../ui/useNow.ts';

/** Who works, on what, and the word to stop. */
export function Workers() {
  const workers = useWorkers();
  return (
    <section className="panel" aria-labelledby="workers-title" data-testid="workers">
      <div className="panel-head">
        <h2 id="workers-title">Workers</h2>
        {workers !== null && (
          <span className="muted small">{workers.filter(({ connected }) => connected).length} connected</span>
        )}
      </div>
      {workers === null && <p className="empty muted">Loading…</p>}
      {workers?.length === 0 && (
        <p className="empty muted">
          No worker is connected. Start one with <code>courant-pdf-worker</code>.
        </p>
      )}
      {workers !== null && workers.length > 0 && (
        <ul className="workers">
          {workers.map((worker) => (
            <WorkerRow key={worker.workerId} worker={worker} />
          ))}
        </ul>
      )}
    </section>
  );
}

/** More free slots than this are a number. */
const mostSlots = 16;

type WorkerStatus = 'busy' | 'idle' | 'draining' | 'away';
const words: Record<WorkerStatus, string> = {
  busy: 'Working',
  idle: 'Idle',
  draining: 'Drained',
  away: 'Lost',
};

function statusOf({ connected, draining, jobs }: Worker): WorkerStatus {
  if (!connected) return 'away';
  if (draining) return 'draining';
  return jobs.length > 0 ? 'busy' : 'idle';
}

function WorkerRow({ worker }: { readonly worker: Worker }) {
  const now = useNow();
  const status = statusOf(worker);
  const free = Math.max(0, Math.min(worker.slots, mostSlots) - worker.jobs.length);
  const hidden = Math.max(0, worker.slots - worker.jobs.length - free);
  const { lastSeenTime, jobs, kinds, pageDurationMs, pagesDone, slots, software, workerId } = worker;
  const facts = [
    software,
    kinds.join(', '),
    `${pagesDone.toLocaleString('en')} pages`,
    pageDurationMs === null ? null : `${(pageDurationMs / 1000).toPrecision(3)} s/page`,
    lastSeenTime === null || status !== 'away' ? null : `last seen ${formatAgo(lastSeenTime, now)}`,
  ];
  return (
    <li className="worker" data-testid="worker" data-status={status} data-worker-id={workerId}>
      <div className="worker-words">
        <p className="worker-name">
          <span className="worker-dot" aria-hidden="true" />
          <strong className="clip" title={workerId}>
            {workerId}
          </strong>
          <span className="muted small">{words[status]}</span>
        </p>
        <p className="muted small">{facts.filter(Boolean).join(' · ')}</p>
      </div>
      <ul className="slots" aria-label={`${jobs.length} of ${slots} slots in use`}>
        {jobs.map((job) => (
          <li key={job.jobId}>
            <a href={jobHref(job.jobId)} className="slot" title={`Job ${job.jobId}, attempt ${job.attempt}`}>
              <span className="slot-fill" style={{ transform: `scaleX(${job.progress / 100})` }} />
              <span className="slot-words">{Math.floor(job.progress)} %</span>
            </a>
          </li>
        ))}
        {Array.from({ length: free }, (_, index) => (
          <li key={index} className="slot slot-free" />
        ))}
        {hidden > 0 && <li className="muted small">+{hidden} free</li>}
      </ul>
      <Drain worker={worker} />
    </li>
  );
}

function Drain({ worker: { draining, jobs, workerId } }: { readonly worker: Worker }) {
  const client = useCourant();
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const verb = draining ? 'resume' : 'drain';
  const run = async () => {
    setBusy(true);
    try {
      await drainWorker(client, workerId, verb === 'drain');
    } catch (error) {
      toast({
        tone: 'bad',
        title: `${workerId} could not be ${verb === 'drain' ? 'drained' : 'resumed'}`,
        text: errorMessage(error),
      });
    }
    setBusy(false);
  };
  return (
    <>
      <button
        type="button"
        className="button small"
        disabled={busy}
        onClick={() => (draining ? void run() : setAsking(true))}
        data-testid={`${verb}-worker`}
      >
        {draining ? 'Resume' : 'Drain'}
      </button>
      <Confirm
        open={asking}
        title={`Drain ${workerId}?`}
        verb="Drain"
        danger={false}
        keep="Cancel"
        onAnswer={(yes) => {
          setAsking(false);
          if (yes) void run();
        }}
      >
        It finishes what it has ({jobs.length} {jobs.length === 1 ? 'job' : 'jobs'}) and takes nothing new
        until it is resumed.
      </Confirm>
    </>
  );
}
