import { describe, expect, it, vi } from 'vitest';
import { decode } from '../src/decode.ts';
import type { Job, JobEvent, Zone } from '../src/index.ts';
import { JobStore } from '../src/store.ts';
import { event, job, pageGroup, update, zone } from './harness.ts';

function read(message: object): JobEvent {
  const decoded = decode(JSON.stringify(message));
  if (decoded.kind !== 'message') throw new Error(JSON.stringify(decoded));
  return decoded.message as JobEvent;
}

const now = (flush: () => void): void => flush();

describe('the store', () => {
  it('takes newer jobs and leaves older ones', () => {
    const store = new JobStore(now);
    store.put(job({ revision: 10, progress: 20 }));
    store.put(job({ revision: 9, progress: 15 }));
    expect(store.get('J1')?.job.progress).toBe(20);
    store.apply(read(event('job-started', 'mine', { revision: 11, progress: 25 })));
    expect(store.get('J1')?.job.progress).toBe(25);
  });

  it('forgets a job that was deleted, and says so', () => {
    const store = new JobStore(now);
    const heard = vi.fn();
    store.put(job());
    store.put(job({ jobId: 'J2' }));
    store.subscribe(heard);
    const gone = {
      type: 'job-deleted',
      topic: 'mine',
      cursor: 'c',
      jobId: 'J1',
      documentId: 'd',
      batchId: null,
      owner: 'alice',
      revision: 99,
      timestamp: null,
    };
    store.apply(read(gone));
    store.apply(read(gone));
    expect(store.list().map((view) => view.job.jobId)).toEqual(['J2']);
    expect(heard).toHaveBeenCalledTimes(1);
  });

  it('learns of pages also from messages that are old news otherwise', () => {
    const store = new JobStore(now);
    store.put(job({ revision: 40, pagesDone: 3 }));
    for (const [page, revision] of [
      [1, 11],
      [2, 12],
    ] as const) {
      for (const message of pageGroup('job/J1', page, revision, ['paragraph'])) store.apply(read(message));
    }
    const view = store.get('J1');
    expect(view?.job).toMatchObject({ revision: 40, pagesDone: 3 });
    expect(view?.pages.map((page) => page?.number)).toEqual([1, 2]);
    expect(view?.zoneCounts).toEqual({ paragraph: 2 });
  });

  it('keeps the place of pages that finish out of order', () => {
    const store = new JobStore(now);
    for (const message of pageGroup('mine', 3, 11, ['figure'])) store.apply(read(message));
    for (const message of pageGroup('mine', 1, 12, ['table'])) store.apply(read(message));
    expect(store.get('J1')?.pages.map((page) => page?.number)).toEqual([1, undefined, 3]);
  });

  it('counts the zones of a page again when a later attempt reads it again', () => {
    const store = new JobStore(now);
    store.put(job());
    for (const message of pageGroup('mine', 1, 11, ['paragraph', 'table'])) store.apply(read(message));
    for (const message of pageGroup('mine', 1, 12, ['paragraph'])) store.apply(read(message));
    expect(store.get('J1')?.zoneCounts).toEqual({ paragraph: 1, table: 0 });
  });

  it('never changes a value it gave out, and keeps it while nothing changes', () => {
    const store = new JobStore(now);
    store.put(job());
    const before = store.get('J1');
    const list = store.list();
    const copy = structuredClone(before);
    store.put(job());
    expect(store.list()[0]?.job.jobId).toBe(list[0]?.job.jobId);
    for (const message of pageGroup('mine', 1, 11, ['list'])) store.apply(read(message));
    expect(before).toEqual(copy);
    expect(store.get('J1')).not.toBe(before);
    expect(store.list()).not.toBe(list);
    expect(store.list()).toBe(store.list());
  });

  it('tells listeners once for many messages in a row', async () => {
    const store = new JobStore();
    const listener = vi.fn();
    const stop = store.subscribe(listener);
    for (const message of pageGroup('mine', 1, 11, ['list', 'list', 'list'])) store.apply(read(message));
    expect(listener).not.toHaveBeenCalled();
    await Promise.resolve();
    expect(listener).toHaveBeenCalledTimes(1);
    stop();
    store.clear();
    await Promise.resolve();
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('tells of snapshots of many jobs when all have come, or after a quarter of a second', async () => {
    vi.useFakeTimers();
    const store = new JobStore(now);
    const heard = vi.fn();
    store.subscribe(() => heard(store.list().length));
    for (const jobId of ['A', 'B', 'C']) store.snapshot('mine', job({ jobId }));
    expect(heard).not.toHaveBeenCalled();
    store.live('mine');
    expect(heard.mock.calls).toEqual([[3]]);
    for (const jobId of ['D', 'E']) store.snapshot('batch/b', job({ jobId }));
    await vi.advanceTimersByTimeAsync(250);
    expect(heard.mock.calls).toEqual([[3], [5]]);
    store.snapshot('job/F', job({ jobId: 'F' }));
    expect(heard.mock.calls).toEqual([[3], [5], [6]]);
    vi.useRealTimers();
  });

  it('lists the newest first', () => {
    const store = new JobStore(now);
    store.put(job({ jobId: 'old', createTime: '2026-11-20T08:00:00Z' }));
    store.put(job({ jobId: 'new', createTime: '2026-11-21T08:00:00Z' }));
    expect(store.list().map((view) => view.job.jobId)).toEqual(['new', 'old']);
  });
});

/** All ways to put two lists into one, each in its own order. */
function interleaved<T>(a: readonly T[], b: readonly T[]): T[][] {
  const [first, ...rest] = a;
  const [other, ...others] = b;
  if (first === undefined || other === undefined) return [[...a, ...b]];
  return [
    ...interleaved(rest, b).map((all) => [first, ...all]),
    ...interleaved(a, others).map((all) => [other, ...all]),
  ];
}

describe('updates', () => {
  const known = (before: Partial<Job> = {}): JobStore => {
    const store = new JobStore(now);
    store.put(job(before));
    return store;
  };
  const progress = (more: Partial<Job>): JobEvent => read(update('job-progress', 'mine', more));

  it('change their fields and no others', () => {
    const store = known({ labels: { team: 'law' }, warnings: ['a scan'], pagesDone: 1 });
    const before = store.get('J1')?.job;
    const values = { progress: 30, operation: 'Processed 2/4 pages', unitsDone: 2, elapsed: 2 };
    store.apply(progress(values));
    expect(store.get('J1')?.job).toEqual({ ...before, ...values });
    expect(before?.progress).toBe(20);
  });

  it('clear with `null` what does not apply any more', () => {
    const store = known();
    const currentZone = { ...zone(2, 1), note: null } as unknown as Zone;
    const has = { currentZone, zonesTotal: 1, estimatedTimeRemaining: 4, elapsed: 2 };
    store.apply(read(update('zone-processing', 'mine', has)));
    expect(store.get('J1')?.job).toMatchObject(has);
    store.apply(progress({ elapsed: 3 }));
    expect(store.get('J1')?.job).toMatchObject({
      currentZone: null,
      zonesTotal: 0,
      estimatedTimeRemaining: null,
    });
  });

  it('have the export beside the job, which has its exports from events', () => {
    const store = known();
    const moved = { format: 'md', state: 'started', progress: 60, sizeBytes: null, sha256: null, url: null };
    store.apply(read(update('export-progress', 'mine', { progress: 80, export: { ...moved, error: null } })));
    expect(store.get('J1')?.job).toEqual(job({ progress: 80 }));
  });

  it('of a job that is not known are ignored until something whole comes', () => {
    const store = new JobStore(now);
    const heard = vi.fn();
    store.subscribe(heard);
    store.apply(progress({ progress: 30 }));
    expect(store.list()).toEqual([]);
    expect(heard).not.toHaveBeenCalled();
    store.snapshot('job/J1', job({ progress: 25 }));
    store.apply(progress({ progress: 40 }));
    expect(store.get('J1')?.job).toMatchObject({ progress: 40, filename: 'report.pdf' });
  });

  it('of an earlier attempt undo nothing', () => {
    const store = known();
    const retried = {
      revision: 11,
      state: 'queued',
      status: 'retrying',
      progress: 15,
      elapsed: null,
    } as const;
    store.apply(read(event('job-retrying', 'mine', retried)));
    store.apply(progress({ revision: 10, progress: 60, elapsed: 9 }));
    expect(store.get('J1')?.job).toMatchObject(retried);
    store.apply(read(event('job-started', 'mine', { revision: 12, attempt: 2, progress: 15, elapsed: 0 })));
    store.apply(progress({ revision: 10, progress: 61, elapsed: 9.5 }));
    expect(store.get('J1')?.job).toMatchObject({ attempt: 2, progress: 15, elapsed: 0 });
  });

  it('are ordered by the time of the attempt, not by a clock that may be set back', () => {
    const store = known({ elapsed: 1 });
    store.apply(progress({ progress: 40, elapsed: 3, timestamp: '2026-11-21T08:30:03Z' }));
    store.apply(progress({ progress: 30, elapsed: 2, timestamp: '2026-11-21T08:30:04Z' }));
    expect(store.get('J1')?.job.progress).toBe(40);
    store.apply(progress({ progress: 50, elapsed: 4, timestamp: '2026-11-21T07:30:04Z' }));
    expect(store.get('J1')?.job.progress).toBe(50);
  });

  it('of a waiting job count as they come', () => {
    const waiting = { state: 'queued', status: 'queued', elapsed: null, attempt: 0 } as const;
    const store = known({ ...waiting, queuePosition: 9 });
    for (const queuePosition of [5, 6, null, 4]) {
      store.apply(read(update('queue-position', 'mine', { ...waiting, queuePosition })));
      expect(store.get('J1')?.job.queuePosition).toBe(queuePosition);
    }
    // Another topic replays what the job began with.
    store.apply(read(event('job-queued', 'job/J1', { ...waiting, revision: 10 })));
    expect(store.get('J1')?.job.queuePosition).toBe(4);
  });

  it('that follow an event of an unknown type count, and the next event does too', () => {
    const store = known({ pagesDone: 1 });
    store.apply(progress({ revision: 11, progress: 30, elapsed: 2 }));
    expect(store.get('J1')?.job).toMatchObject({ revision: 10, progress: 30 });
    store.apply(
      read(event('job-planned', 'mine', { revision: 11, progress: 30, pagesDone: 2, elapsed: 1.5 })),
    );
    expect(store.get('J1')?.job).toMatchObject({ revision: 11, pagesDone: 2 });
  });

  it('are compared with snapshots of the same revision, which have them', () => {
    const store = known({ elapsed: 1 });
    store.apply(progress({ progress: 40, elapsed: 3 }));
    store.snapshot('job/J1', job({ progress: 35, elapsed: 2.5 }));
    expect(store.get('J1')?.job.progress).toBe(40);
    // Its timestamp is that of the last change of state.
    store.snapshot('job/J1', job({ progress: 45, elapsed: 3.5 }));
    expect(store.get('J1')?.job).toMatchObject({ progress: 45, elapsed: 3.5 });
  });

  it('of two topics come to the same however they overtake each other, and percent never goes back', () => {
    const of = (topic: string) =>
      [
        event('job-started', topic, { revision: 11, progress: 10, elapsed: 0 }),
        update('job-progress', topic, { revision: 11, progress: 20, elapsed: 2 }),
        event('job-planned', topic, { revision: 12, progress: 20, elapsed: 3, pagesTotal: 7 }),
        update('job-progress', topic, { revision: 12, progress: 30, elapsed: 4, pagesTotal: 7 }),
      ].map(read);
    const all = interleaved(of('mine'), of('job/J1'));
    expect(all).toHaveLength(70);
    for (const messages of all) {
      const store = new JobStore(now);
      const seen = messages.map((message) => {
        store.apply(message);
        return store.get('J1')?.job.progress ?? 0;
      });
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(store.get('J1')?.job).toMatchObject({ revision: 12, progress: 30, elapsed: 4, pagesTotal: 7 });
    }
  });
});
