/** The bindings: each hook reads one immutable value of the client and renders again only when that value changes. */
import type { ConnectionState, JobView, TopicState, WatchOptions } from '@courant/client';
import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react';
import { useCourant } from './context.ts';

/** One's own jobs, as far as they are loaded. */
export interface Jobs {
  /** Newest first: all unfinished ones, and the newest 50 finished ones until `loadMore` has brought older ones. */
  readonly jobs: readonly JobView[];
  /** There may be older finished jobs that are not in `jobs`. */
  readonly hasMore: boolean;
  /** Loads the next older jobs (up to 100) into `jobs`. Rejects with a `CourantError`. */
  readonly loadMore: () => Promise<void>;
}

const none: readonly JobView[] = [];
const disconnected: ConnectionState = { status: 'disconnected' };

/** The state of the connection. */
export function useConnection(): ConnectionState {
  const client = useCourant();
  const subscribe = useCallback((changed: () => void) => client.onConnection(changed), [client]);
  return useSyncExternalStore(
    subscribe,
    () => client.connection,
    () => disconnected,
  );
}

/** Watches a topic for as long as the component is mounted. `null` watches nothing. */
export function useWatch(topic: string | null, options: WatchOptions = {}): void {
  const client = useCourant();
  const { after, minIntervalMs } = options;
  useEffect(
    () => (topic === null ? undefined : client.watch(topic, { after, minIntervalMs })),
    [client, topic, after, minIntervalMs],
  );
}

function useJobStore<T>(read: () => T, onServer: T): T {
  const client = useCourant();
  const subscribe = useCallback((changed: () => void) => client.jobs.subscribe(changed), [client]);
  return useSyncExternalStore(subscribe, read, () => onServer);
}

/** Everything known of one job, live. `undefined` until something is; then see `useTopic` for why. */
export function useJob(jobId: string, options: WatchOptions = {}): JobView | undefined {
  const client = useCourant();
  useWatch(`job/${jobId}`, options);
  return useJobStore(() => client.jobs.get(jobId), undefined);
}

/**
 * One's own jobs, newest first, live. Not all of them: all that are unfinished, and the newest 50 that are finished. `hasMore` says
 * that there may be older ones, `loadMore` loads them page by page; they stay live and loaded for as long as the client lives.
 */
export function useJobs(options: WatchOptions = {}): Jobs {
  const client = useCourant();
  useWatch('mine', options);
  const jobs = useJobStore(() => client.jobs.list(), none);
  const hasMore = useJobStore(() => client.jobs.hasOlder, false);
  const loadMore = useCallback(() => client.loadOlder(), [client]);
  return useMemo(() => ({ jobs, hasMore, loadMore }), [jobs, hasMore, loadMore]);
}

/** Where a watched topic stands, for example refused because the job does not exist. */
export function useTopic(topic: string): TopicState {
  const client = useCourant();
  const waiting = client.topic('');
  return useJobStore(() => client.topic(topic), waiting);
}
