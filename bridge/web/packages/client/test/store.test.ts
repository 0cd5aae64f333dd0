import { describe, expect, it, vi } from 'vitest';
import { decode } from '../src/decode.ts';
import type { JobEvent } from '../src/index.ts';
import { JobStore } from '../src/store.ts';
import { event, job, pageGroup } from './harness.ts';

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

  it('takes transient news of the same revision, but not older than what it has', () => {
    const store = new JobStore(now);
    store.put(job({ timestamp: '2026-11-21T08:30:01Z', progress: 20 }));
    store.apply(
      read({ ...event('job-progress', 'mine'), progress: 30, timestamp: '2026-11-21T08:30:02.100Z' }),
    );
    expect(store.get('J1')?.job.progress).toBe(30);
    store.put(job({ timestamp: '2026-11-21T08:30:01Z', progress: 20 }));
    expect(store.get('J1')?.job.progress).toBe(30);
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
