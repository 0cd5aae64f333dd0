/** The bindings: each hook reads one immutable value of the client and renders again only when that value changes. */
import type { ConnectionState, JobView, TopicState, WatchOptions } from '@courant/client';
import { useCallback, useEffect, useSyncExternalStore } from 'react';
import { useCourant } from './context.ts';

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

function useStored<T>(read: () => T, onServer: T): T {
  const client = useCourant();
  const subscribe = useCallback((changed: () => void) => client.jobs.subscribe(changed), [client]);
  return useSyncExternalStore(subscribe, read, () => onServer);
}

/** Everything known of one job, live. `undefined` until something is; then see `useTopic` for why. */
export function useJob(jobId: string, options: WatchOptions = {}): JobView | undefined {
  const client = useCourant();
  useWatch(`job/${jobId}`, options);
  return useStored(() => client.jobs.get(jobId), undefined);
}

/** All one's own jobs, newest first, live. */
export function useJobs(options: WatchOptions = {}): readonly JobView[] {
  const client = useCourant();
  useWatch('mine', options);
  return useStored(() => client.jobs.list(), none);
}

/** Where a watched topic stands, for example refused because the job does not exist. */
export function useTopic(topic: string): TopicState {
  const client = useCourant();
  const waiting = client.topic('');
  return useStored(() => client.topic(topic), waiting);
}
