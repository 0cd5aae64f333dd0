import type { Job } from '@courant/client';
import { useConnection, useCourant, useJobs } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { usePendingDeletes } from '../jobs/delayed-delete.tsx';
import { type Filters, listOptions } from './filters.ts';

interface Loaded {
  readonly key: string;
  readonly ids: readonly string[];
  readonly next: string | null;
  readonly state: 'loading' | 'more' | 'ready' | 'failed';
  readonly error: string;
}

export interface History {
  readonly jobs: readonly Job[];
  readonly state: Loaded['state'];
  readonly error: string;
  /** The server has more that match. */
  readonly hasMore: boolean;
  /** Loads the next page, or tries again what failed. */
  readonly more: () => void;
}

/** Jobs that match, page by page from the server and live from then on. */
export function useHistory(filters: Filters): History {
  const client = useCourant();
  const connected = useConnection().status === 'connected';
  const key = JSON.stringify(listOptions(filters));
  const [loaded, setLoaded] = useState<Loaded>({ key, ids: [], next: null, state: 'loading', error: '' });
  const run = useRef(0);

  const load = useCallback(
    async (before: Loaded | null) => {
      run.current += 1;
      const mine = run.current;
      const ids = before?.ids ?? [];
      setLoaded({ key, ids, next: before?.next ?? null, state: before ? 'more' : 'loading', error: '' });
      try {
        const options = JSON.parse(key) as ReturnType<typeof listOptions>;
        const page = await client.list({ ...options, pageToken: before?.next ?? null });
        if (mine !== run.current) return;
        const all = [...new Set([...ids, ...page.jobs.map(({ jobId }) => jobId)])];
        setLoaded({ key, ids: all, next: page.nextPageToken, state: 'ready', error: '' });
      } catch (error) {
        const next = before?.next ?? null;
        if (mine === run.current) setLoaded({ key, ids, next, state: 'failed', error: errorMessage(error) });
      }
    },
    [client, key],
  );

  useEffect(() => {
    // Typing asks once one pauses; coming back after a lost connection asks again.
    if (!connected) return;
    const timer = setTimeout(() => void load(null), 150);
    return () => clearTimeout(timer);
  }, [load, connected]);

  const { jobs: views } = useJobs({ minIntervalMs: 250 });
  const hidden = usePendingDeletes();
  const plain = filters.words === '' && filters.lane === null && filters.since === '';
  const jobs = useMemo(() => {
    const ids = new Set(loaded.ids);
    const matches = ({ jobId, state }: Job): boolean =>
      (ids.has(jobId) || plain) && (filters.states.length === 0 || filters.states.includes(state));
    return views.map(({ job }) => job).filter((job) => matches(job) && !hidden.has(job.jobId));
  }, [views, loaded.ids, hidden, plain, filters.states]);
  return {
    jobs,
    state: loaded.key === key ? loaded.state : 'loading',
    error: loaded.error,
    hasMore: loaded.next !== null,
    more: () => void load(loaded.next === null ? null : loaded),
  };
}
