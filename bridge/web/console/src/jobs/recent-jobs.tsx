/**
 * Jobs that were under way while this page was open, or that it asked for: they keep their card when they end, so that
 * nothing one was just looking at is swept away. "Move to history" puts the finished ones down.
 */
import { isFinished, type JobStore } from '@courant/client';
import { createContext, useContext, useSyncExternalStore } from 'react';

export class RecentJobs {
  readonly #jobs: JobStore;
  readonly #listeners = new Set<() => void>();
  #ids: ReadonlySet<string> = new Set();

  constructor(jobs: JobStore) {
    this.#jobs = jobs;
  }

  start(): () => void {
    const update = (): void => {
      const more = this.#jobs.list().filter(({ job }) => !isFinished(job) && !this.#ids.has(job.jobId));
      if (more.length > 0) this.#set(new Set([...this.#ids, ...more.map(({ job }) => job.jobId)]));
    };
    update();
    return this.#jobs.subscribe(update);
  }

  /** A job asked for here keeps its card even when it is over before its first event arrives. */
  keep(jobId: string): void {
    if (!this.#ids.has(jobId)) this.#set(new Set([...this.#ids, jobId]));
  }

  /** Puts finished jobs down. */
  clear(): void {
    const open = this.#jobs.list().filter(({ job }) => !isFinished(job));
    this.#set(new Set(open.map(({ job }) => job.jobId)));
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly ids = (): ReadonlySet<string> => this.#ids;

  #set(ids: ReadonlySet<string>): void {
    this.#ids = ids;
    for (const listener of this.#listeners) listener();
  }
}

const Context = createContext<RecentJobs | null>(null);
export const RecentJobsProvider = Context.Provider;

export function useRecentJobs(): { readonly recent: RecentJobs; readonly ids: ReadonlySet<string> } {
  const recent = useContext(Context);
  if (recent === null) throw new Error('useRecentJobs needs a <RecentJobsProvider> above it');
  return { recent, ids: useSyncExternalStore(recent.subscribe, recent.ids) };
}
