/** The client as async iterators. Leaving the loop ends the watch. */
import type { CourantClient } from './client.ts';
import { CourantError } from './errors.ts';
import type { JobView } from './job-view.ts';
import { isUpdate, type JobEvent } from './messages.ts';
import type { FollowOptions } from './options.ts';
import { isFinished } from './types.ts';

/** So many events may wait for a slow reader; then older transient ones of the same job go. */
const mostWaiting = 1000;

/** Wakes a reader that waits. */
class Signal {
  #wake: () => void = () => undefined;
  #isNotified = false;
  readonly notify = (): void => {
    this.#isNotified = true;
    this.#wake();
  };
  async wait(): Promise<void> {
    if (!this.#isNotified) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#isNotified = false;
  }
}

function push(waiting: JobEvent[], event: JobEvent): void {
  if (waiting.length >= mostWaiting) {
    const older = waiting.findIndex(isUpdate);
    if (older >= 0) waiting.splice(older, 1);
    else if (isUpdate(event)) return;
  }
  waiting.push(event);
}

/** Watches a topic, and runs `step` whenever something may have changed until it says `done`. */
async function* watching<T>(
  client: CourantClient,
  topic: string,
  { signal, ...options }: FollowOptions,
  listen: (wake: Signal) => () => void,
  step: () => { readonly values: readonly T[]; readonly done: boolean },
): AsyncGenerator<T, void> {
  const wake = new Signal();
  const stops = [client.watch(topic, options), listen(wake), client.jobs.subscribe(wake.notify)];
  signal?.addEventListener('abort', wake.notify);
  try {
    while (!signal?.aborted) {
      const { values, done } = step();
      yield* values;
      const state = client.topic(topic);
      if (done) return;
      if (state.phase === 'ended') throw new CourantError(state.code, state.message);
      await wake.wait();
    }
  } finally {
    signal?.removeEventListener('abort', wake.notify);
    for (const stop of stops) stop();
  }
}

export function stream(
  client: CourantClient,
  topic: string,
  options: FollowOptions,
): AsyncGenerator<JobEvent, void> {
  let waiting: JobEvent[] = [];
  const listen = (wake: Signal) =>
    client.onEvent((event) => {
      if (event.topic !== topic) return;
      push(waiting, event);
      wake.notify();
    });
  return watching(client, topic, options, listen, () => {
    const values = waiting;
    waiting = [];
    return { values, done: false };
  });
}

export function follow(
  client: CourantClient,
  jobId: string,
  options: FollowOptions,
): AsyncGenerator<JobView, void> {
  let last: JobView | undefined;
  return watching(
    client,
    `job/${jobId}`,
    options,
    () => () => undefined,
    () => {
      const view = client.jobs.get(jobId);
      const values = view === undefined || view === last ? [] : [view];
      last = view;
      return { values, done: view !== undefined && isFinished(view.job) };
    },
  );
}
