import { describe, expect, it, vi } from 'vitest';
import {
  client,
  connected,
  event,
  FakeSocket,
  job,
  pageGroup,
  pausedTime,
  settle,
  socket,
  update,
} from './harness.ts';

async function cut(): Promise<void> {
  socket().ends(1006);
  await vi.advanceTimersByTimeAsync(1000);
  socket().accept();
  await settle();
}

describe('topics', () => {
  pausedTime();

  it('subscribes once for all holders and leaves a second after the last', async () => {
    const made = await connected();
    const first = made.watch('mine');
    const second = made.watch('mine');
    await settle();
    expect(socket().ofType('subscribe')).toEqual([
      { id: 1, type: 'subscribe', topic: 'mine', minIntervalMs: 1000 },
    ]);
    first();
    second();
    await vi.advanceTimersByTimeAsync(999);
    expect(socket().ofType('unsubscribe')).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket().ofType('unsubscribe')).toMatchObject([{ topic: 'mine' }]);
  });

  it('keeps a topic that is wanted again in time', async () => {
    const made = await connected();
    made.watch('mine')();
    made.watch('mine');
    await settle();
    await vi.advanceTimersByTimeAsync(5000);
    expect(socket().ofType('unsubscribe')).toHaveLength(0);
    expect(socket().ofType('subscribe')).toHaveLength(1);
  });

  it('asks for the shortest interval any holder wants', async () => {
    const made = await connected();
    made.watch('mine');
    await settle();
    made.watch('mine', { minIntervalMs: 500 });
    made.watch('mine', { minIntervalMs: 250 });
    made.watch('mine', { minIntervalMs: 5000 });
    await settle();
    const asked = socket().topics();
    expect(asked.map(({ minIntervalMs }) => minIntervalMs)).toEqual([1000, 250]);
  });

  it('tells where a topic stands', async () => {
    const made = await connected();
    made.watch('mine');
    await settle();
    expect(made.topic('mine').phase).toBe('waiting');
    socket().subscribed('mine');
    expect(made.topic('mine').phase).toBe('loading');
    socket().says({ type: 'live', topic: 'mine', cursor: 'c1' });
    expect(made.topic('mine').phase).toBe('live');
    socket().says({ type: 'stalled', topic: 'mine', code: 'SERVER_UNAVAILABLE' });
    expect(made.topic('mine').phase).toBe('stalled');
    expect(made.connection).toMatchObject({ stalled: true });
    socket().says({ type: 'live', topic: 'mine', cursor: 'c1' });
    expect(made.connection).toMatchObject({ stalled: false });
  });

  it('says why a topic was refused', async () => {
    const made = await connected();
    made.watch('job/J9');
    await settle();
    const id = socket().ofType('subscribe')[0]?.['id'];
    socket().says({ id, type: 'error', code: 'JOB_NOT_FOUND', message: 'no such job', retryable: false });
    await settle();
    expect(made.topic('job/J9')).toEqual({ phase: 'ended', code: 'JOB_NOT_FOUND', message: 'no such job' });
  });

  it('asks again later when the refusal may pass', async () => {
    const made = await connected();
    made.watch('mine');
    await settle();
    const id = socket().ofType('subscribe')[0]?.['id'];
    socket().says({
      id,
      type: 'error',
      code: 'SERVER_UNAVAILABLE',
      message: 'x',
      retryable: true,
      retryAfterMs: 700,
    });
    await vi.advanceTimersByTimeAsync(699);
    expect(socket().ofType('subscribe')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket().ofType('subscribe')).toHaveLength(2);
  });

  it('begins again without a cursor the bridge cannot read', async () => {
    const made = await connected();
    made.watch('mine', { after: 'garbage' });
    await settle();
    const first = socket().ofType('subscribe')[0];
    expect(first).toMatchObject({ after: 'garbage' });
    socket().says({
      id: first?.['id'],
      type: 'error',
      code: 'CURSOR_INVALID',
      message: 'x',
      retryable: false,
    });
    await settle();
    expect(socket().ofType('subscribe')[1]).not.toHaveProperty('after');
  });

  it('forgets a job that was deleted', async () => {
    const made = await connected();
    made.watch('job/J1');
    await settle();
    socket().subscribed('job/J1');
    socket().says({ type: 'snapshot', topic: 'job/J1', job: job() });
    socket().says({ type: 'unsubscribed', topic: 'job/J1', code: 'JOB_NOT_FOUND' });
    expect(made.jobs.get('J1')).toBeUndefined();
    expect(made.topic('job/J1')).toMatchObject({ phase: 'ended', code: 'JOB_NOT_FOUND' });
  });
});

describe('resuming', () => {
  pausedTime();

  it('waits for the connection and subscribes then', async () => {
    const made = client();
    made.watch('mine');
    await settle();
    made.connect();
    await settle();
    socket().accept();
    await settle();
    expect(socket().ofType('subscribe')).toHaveLength(1);
  });

  it('goes on after the newest cursor of each topic', async () => {
    const made = await connected();
    made.watch('mine');
    made.watch('job/J1');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'live', topic: 'mine', cursor: 'c5' });
    socket().says(update('job-progress', 'mine'));
    socket().subscribed('job/J1');
    socket().says(event('job-planned', 'job/J1', { revision: 11 }));
    await cut();
    expect(socket().ofType('subscribe')).toMatchObject([
      { topic: 'mine', after: 'c5' },
      { topic: 'job/J1', after: 'c11' },
    ]);
  });

  it('begins again with snapshots when it was cut before `live`', async () => {
    const made = await connected();
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'snapshot', topic: 'mine', job: job() });
    await cut();
    expect(socket().ofType('subscribe')[0]).not.toHaveProperty('after');
  });

  it('moves the cursor with bookmarks', async () => {
    const made = await connected();
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'live', topic: 'mine', cursor: 'c5' });
    socket().says({ type: 'bookmark', topic: 'mine', cursor: 'c9' });
    await cut();
    expect(socket().ofType('subscribe')[0]).toMatchObject({ after: 'c9' });
  });

  it('hears every durable event once, in order, although the bridge repeats some', async () => {
    const made = await connected();
    const heard: string[] = [];
    made.onEvent((each) => heard.push(each.type));
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'live', topic: 'mine', cursor: 'c10' });
    socket().says(event('job-queued', 'mine', { revision: 11 }));
    socket().says(event('job-started', 'mine', { revision: 12 }));
    await cut();
    socket().subscribed('mine', { mode: 'resumed', cursor: 'c11' });
    socket().says(event('job-started', 'mine', { revision: 12 }));
    socket().says(event('job-planned', 'mine', { revision: 13 }));
    expect(heard).toEqual(['job-queued', 'job-started', 'job-planned']);
  });

  it('does not mistake another job for a double', async () => {
    const made = await connected();
    const heard: string[] = [];
    made.onEvent((each) => heard.push('job' in each ? each.job.jobId : ''));
    made.watch('mine');
    await settle();
    socket().says(event('job-queued', 'mine', { revision: 12 }));
    socket().says(event('job-queued', 'mine', { revision: 11, jobId: 'J2' }));
    expect(heard).toEqual(['J1', 'J2']);
  });

  it('takes a page group that comes twice as one', async () => {
    const made = await connected();
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'snapshot', topic: 'mine', job: job() });
    socket().says({ type: 'live', topic: 'mine', cursor: 'c10' });
    const group = pageGroup('mine', 1, 11, ['heading', 'table']);
    socket().says(group[0] ?? {});
    await cut();
    socket().subscribed('mine', { mode: 'resumed', cursor: 'c10' });
    for (const message of [...group, ...group]) socket().says(message);
    expect(made.jobs.get('J1')?.zoneCounts).toEqual({ heading: 1, table: 1 });
    expect(made.jobs.get('J1')?.pages[0]?.zones.map((each) => each.zoneId)).toEqual(['p1z1', 'p1z2']);
  });

  it('hears nothing of a topic it has left', async () => {
    const made = await connected();
    const leave = made.watch('mine');
    await settle();
    leave();
    await vi.advanceTimersByTimeAsync(1000);
    socket().says({ type: 'snapshot', topic: 'mine', job: job() });
    expect(made.jobs.list()).toEqual([]);
    expect(FakeSocket.all).toHaveLength(1);
  });
});

describe('gaps', () => {
  pausedTime();

  async function watching() {
    const made = await connected();
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    for (const [jobId, state] of [
      ['A', 'running'],
      ['B', 'running'],
      ['C', 'succeeded'],
    ] as const) {
      socket().says({ type: 'snapshot', topic: 'mine', job: job({ jobId, state, revision: 50 }) });
    }
    socket().says({ type: 'live', topic: 'mine', cursor: 'c50' });
    return made;
  }
  const ids = (made: { jobs: { list(): readonly { job: { jobId: string } }[] } }): string[] =>
    made.jobs
      .list()
      .map((view) => view.job.jobId)
      .sort();

  it('drops running jobs that the new snapshots do not have, and keeps old finished ones', async () => {
    const made = await watching();
    socket().says({ type: 'gap', topic: 'mine', reason: 'HISTORY_TRIMMED' });
    socket().says({ type: 'snapshot', topic: 'mine', job: job({ jobId: 'A', revision: 70 }) });
    expect(ids(made)).toEqual(['A', 'B', 'C']);
    socket().says({ type: 'live', topic: 'mine', cursor: 'c70' });
    expect(ids(made)).toEqual(['A', 'C']);
  });

  it('believes a replaced log although its revisions are smaller', async () => {
    const made = await watching();
    socket().says({ type: 'gap', topic: 'mine', reason: 'LOG_REPLACED' });
    socket().says({ type: 'snapshot', topic: 'mine', job: job({ jobId: 'A', revision: 3, progress: 66 }) });
    socket().says({ type: 'live', topic: 'mine', cursor: 'n3' });
    expect(ids(made)).toEqual(['A']);
    expect(made.jobs.get('A')?.job).toMatchObject({ revision: 3, progress: 66 });
    socket().says(event('job-completed', 'mine', { jobId: 'A', revision: 4, state: 'succeeded' }));
    expect(made.jobs.get('A')?.job.state).toBe('succeeded');
  });

  it('keeps a job that was submitted while the snapshots came', async () => {
    const made = await watching();
    socket().says({ type: 'gap', topic: 'mine', reason: 'HISTORY_TRIMMED' });
    made.jobs.put(job({ jobId: 'NEW', revision: 71 }));
    socket().says({ type: 'live', topic: 'mine', cursor: 'c71' });
    expect(ids(made)).toEqual(['C', 'NEW']);
  });
});

describe('commands given while offline', () => {
  pausedTime();

  it('wait for the connection and are answered then', async () => {
    const made = client();
    const acked = made.ack('mine', 'c1');
    made.connect();
    await settle();
    socket().accept();
    const sent = socket().ofType('ack');
    expect(sent).toMatchObject([{ topic: 'mine', cursor: 'c1' }]);
    socket().says({ id: sent[0]?.['id'], type: 'ok' });
    await expect(acked).resolves.toBeUndefined();
  });

  it('are sent again when the answer was lost with the connection', async () => {
    const made = await connected();
    const acked = made.ack('mine', 'c1');
    await cut();
    const sent = socket().ofType('ack');
    expect(sent).toHaveLength(1);
    socket().says({ id: sent[0]?.['id'], type: 'ok' });
    await expect(acked).resolves.toBeUndefined();
  });

  it('are refused when too many wait', async () => {
    const made = client();
    const waiting = Array.from({ length: 1000 }, () => made.ack('mine', 'c'));
    await expect(made.ack('mine', 'c')).rejects.toMatchObject({ code: 'QUEUE_FULL', retryable: true });
    const lost = Promise.allSettled(waiting);
    made.close();
    const outcomes = await lost;
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
  });
});
