/**
 * All jobs this client knows, made from snapshots, events and HTTP answers. Every value it gives out is immutable and
 * keeps its identity until it changes. Listeners are called after the message that was being worked on, once for all changes.
 */
import { applyEvent, type JobView, view, withJob } from './job-view.ts';
import { isUpdate, type JobEvent } from './messages.ts';
import { Timer } from './timer.ts';
import { jobIdOf, mine } from './topics.ts';
import { isFinished, type Job } from './types.ts';

/** Runs `flush` soon, once. */
export type Schedule = (flush: () => void) => void;

/** Snapshots of a topic that has many are shown when all have come, or after so long. */
const gatherMs = 250;

interface Restart {
  readonly replace: boolean;
  /** What was known when it began and has not been among the snapshots yet. */
  readonly unseen: Set<string>;
  /** Finished jobs among the snapshots. */
  finished: number;
}

/** How far older jobs were loaded. */
export interface Older {
  /** Of the next page; `null`: the first. */
  token: string | null;
  loading: Promise<void> | null;
}

/** So many finished jobs `mine` begins with; there may be older ones. */
const finishedInMine = 50;

function newestFirst(a: JobView, b: JobView): number {
  if (a.job.createTime !== b.job.createTime) return a.job.createTime < b.job.createTime ? 1 : -1;
  return a.job.jobId < b.job.jobId ? 1 : -1;
}

export class JobStore {
  readonly #schedule: Schedule;
  readonly #views = new Map<string, JobView>();
  readonly #listeners = new Set<() => void>();
  readonly #restarts = new Map<string, Restart>();
  #list: readonly JobView[] | null = null;
  /** `undefined` until `mine` is live, `null` when all jobs are here. */
  #older: Older | null | undefined;
  #flushing = false;
  /** Runs while snapshots are gathered: with a list that grows job by job, pages would watch and leave a job at each step. */
  readonly #gathered = new Timer();

  // Not the function itself: as a method of this object browsers refuse to run it.
  constructor(schedule: Schedule = (flush) => queueMicrotask(flush)) {
    this.#schedule = schedule;
  }

  get(jobId: string): JobView | undefined {
    return this.#views.get(jobId);
  }

  /** All jobs, newest first. */
  list(): readonly JobView[] {
    this.#list ??= [...this.#views.values()].sort(newestFirst);
    return this.#list;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Whether there may be finished jobs that are not in the list: the topic `mine` begins with all unfinished jobs and the
   * newest 50 finished ones. `loadOlder` of the client loads more.
   */
  get hasOlder(): boolean {
    return this.older !== null;
  }

  /** Where loading older jobs goes on. A new one each time `mine` restarts. */
  get older(): Older | null {
    return this.#older ?? null;
  }

  /** All older jobs were loaded. */
  noOlder(): void {
    this.#older = null;
    this.#changed();
  }

  /** Takes a job from a snapshot or an HTTP answer. */
  put(job: Job): void {
    const known = this.#views.get(job.jobId);
    this.#set(known ? withJob(known, job, Date.now()) : view(job, Date.now()));
  }

  snapshot(topic: string, job: Job): void {
    const restart = this.#restarts.get(topic);
    const first = restart?.unseen.delete(job.jobId) ?? false;
    if (restart && isFinished(job)) restart.finished += 1;
    const known = first && restart?.replace ? undefined : this.#views.get(job.jobId);
    const isOneOfMany = jobIdOf(topic) === null;
    this.#set(known ? withJob(known, job, Date.now()) : view(job, Date.now()), isOneOfMany);
  }

  apply(event: JobEvent): void {
    if (event.type === 'job-deleted') {
      this.remove(event.jobId);
      return;
    }
    // Of a job that is not known these tell too little; what tells all of it follows.
    if (event.type === 'zone-completed' || isUpdate(event)) {
      const known = this.#views.get(event.jobId);
      if (known) this.#set(applyEvent(known, event, Date.now()));
      return;
    }
    this.#set(applyEvent(this.#views.get(event.job.jobId) ?? view(event.job, Date.now()), event, Date.now()));
  }

  /** A topic restarts with snapshots. After a replaced log nothing known before counts. */
  restart(topic: string, reason: string | null): void {
    const unseen = new Set(this.#views.keys());
    this.#restarts.set(topic, { replace: reason === 'LOG_REPLACED', unseen, finished: 0 });
  }

  /** The snapshots of a restarted topic are complete: what should have been among them and was not is gone. */
  live(topic: string): void {
    const restart = this.#restarts.get(topic);
    // A topic that went on from a cursor of an earlier page did not tell what there is.
    const mayHaveOlder = restart ? restart.finished >= finishedInMine : this.#older === undefined;
    if (topic === mine && (restart || mayHaveOlder)) {
      this.#older = mayHaveOlder ? { token: null, loading: null } : null;
      this.#changed();
    } else if (this.#gathered.pending) this.#changed();
    if (restart === undefined) return;
    this.#restarts.delete(topic);
    if (topic !== mine) return;
    for (const jobId of restart.unseen) {
      const known = this.#views.get(jobId);
      if (known && (restart.replace || !isFinished(known.job))) this.remove(jobId);
    }
  }

  remove(jobId: string): void {
    if (this.#views.delete(jobId)) this.#changed();
  }

  clear(): void {
    this.#views.clear();
    this.#changed();
  }

  /** Tells listeners, for changes that are not of a job (the state of a topic). */
  touch(): void {
    this.#changed();
  }

  #set(next: JobView, gather = false): void {
    if (this.#views.get(next.job.jobId) === next) return;
    this.#views.set(next.job.jobId, next);
    this.#list = null;
    if (!gather) this.#changed();
    else if (!this.#gathered.pending) this.#gathered.set(gatherMs, () => this.#changed());
  }

  #changed(): void {
    this.#list = null;
    this.#gathered.clear();
    if (this.#flushing) return;
    this.#flushing = true;
    this.#schedule(() => {
      this.#flushing = false;
      for (const listener of this.#listeners) listener();
    });
  }
}
