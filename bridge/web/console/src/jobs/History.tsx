import type { JobView } from '@courant/client';
import { useCourant } from '@courant/react';
import { useState } from 'react';
import { jobHref } from '../shell/route.ts';
import { ago, bytes, count, dateTime, failure, sentenceCase, span } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';
import { Actions } from './Actions.tsx';
import { StateChip } from './StateChip.tsx';

const finished = ['succeeded', 'failed', 'cancelled'] as const;

/** A topic begins with so many finished jobs (PROTOCOL.md, `subscribe`); with fewer there is nothing older. */
const FIRST_FINISHED = 50;

/** `undefined`: not asked yet. `null`: nothing older. */
type More = {
  readonly token: string | null | undefined;
  readonly busy: boolean;
  readonly error: string | null;
};

function useOlder(): { readonly more: More; readonly load: () => Promise<void> } {
  const client = useCourant();
  const [more, setMore] = useState<More>({ token: undefined, busy: false, error: null });
  const load = async () => {
    setMore({ ...more, busy: true, error: null });
    try {
      const { nextPageToken } = await client.list({ states: finished, pageSize: 50, pageToken: more.token });
      setMore({ token: nextPageToken, busy: false, error: null });
    } catch (error) {
      setMore({ ...more, busy: false, error: failure(error) });
    }
  };
  return { more, load };
}

export function History({
  views,
  loading,
}: {
  readonly views: readonly JobView[];
  readonly loading: boolean;
}) {
  const { more, load } = useOlder();
  if (loading) return <Skeleton />;
  if (views.length === 0) return null;
  const mayHaveOlder = more.token === undefined ? views.length >= FIRST_FINISHED : more.token !== null;
  return (
    <section aria-labelledby="history-title" data-testid="history">
      <div className="section-head">
        <h2 id="history-title">History</h2>
      </div>
      <ul className="rows">
        {views.map((view) => (
          <Row key={view.job.jobId} view={view} />
        ))}
      </ul>
      {more.error !== null && <p className="bad">{more.error}</p>}
      {mayHaveOlder && (
        <button
          type="button"
          className="button wide"
          disabled={more.busy}
          onClick={() => void load()}
          data-testid="load-older"
        >
          {more.busy ? 'Loading…' : 'Show older jobs'}
        </button>
      )}
    </section>
  );
}

function Row({ view: { job } }: { readonly view: JobView }) {
  const now = useNow();
  const end = job.endTime ?? job.createTime;
  const facts = [
    job.state === 'failed' && job.error !== null ? sentenceCase(job.error.message) : null,
    job.pagesTotal === null ? null : count(job.pagesTotal, 'page'),
    bytes(job.documentBytes),
    job.elapsed === null ? null : span(job.elapsed),
  ].filter((fact) => fact != null);
  return (
    <li className="row-job" data-testid="job-card" data-job-id={job.jobId} data-state={job.state}>
      <StateChip job={job} />
      <div className="row-words">
        <a href={jobHref(job.jobId)} className="row-name" data-testid="open-job">
          {job.filename}
        </a>
        <span className="muted small row-facts">{facts.join(' · ')}</span>
      </div>
      <time className="muted small nowrap" dateTime={end} title={dateTime(end)}>
        {ago(end, now)}
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
