import { afterEach, describe, expect, it, vi } from 'vitest';
import { CourantClient, CourantError, type CursorStorage } from '../src/index.ts';
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

function memory(): CursorStorage & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
}

describe('a network that goes before the connection notifications', () => {
  pausedTime();

  it('lets a command wait for it', async () => {
    const window = new EventTarget();
    vi.stubGlobal('addEventListener', window.addEventListener.bind(window));
    vi.stubGlobal('removeEventListener', window.removeEventListener.bind(window));
    vi.stubGlobal('navigator', { onLine: false });
    const answers = [
      () => Promise.reject(new TypeError('Failed to fetch')),
      async () => new Response(JSON.stringify({ job: job({ state: 'cancelled' }), cursor: 'c' })),
    ];
    const fetch = vi.fn(() => (answers.shift() ?? answers[0])?.() ?? Promise.reject(new Error('too often')));
    const made = await connected({ fetch: fetch as unknown as typeof globalThis.fetch });
    let done = false;
    const cancelled = made.cancel('J1').then(() => {
      done = true;
    });
    await vi.waitFor(() => expect(fetch).toHaveBeenCalledTimes(1));
    await settle();
    expect(done).toBe(false);
    vi.stubGlobal('navigator', { onLine: true });
    window.dispatchEvent(new Event('online'));
    await cancelled;
    expect(fetch).toHaveBeenCalledTimes(2);
  });
});

describe('cursors that outlive the page', () => {
  pausedTime();

  it('continue after a reload where the topic was', async () => {
    const storage = memory();
    const before = await connected({ storage });
    before.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'live', topic: 'mine', cursor: 'c7' });
    before.close();

    const after = await connected({ storage });
    after.watch('mine');
    await settle();
    expect(socket().ofType('subscribe')).toMatchObject([{ topic: 'mine', after: 'c7' }]);
  });

  it('bring the job itself, which updates alone would not', async () => {
    const storage = memory();
    const before = await connected({ storage });
    before.watch('job/J1');
    await settle();
    socket().subscribed('job/J1');
    socket().says({ type: 'snapshot', topic: 'job/J1', job: job() });
    socket().says({ type: 'live', topic: 'job/J1', cursor: 'c7' });
    before.close();

    const fetch = vi.fn(
      async (_: RequestInfo | URL) => new Response(JSON.stringify({ job: job(), cursor: 'c9' })),
    );
    const after = await connected({ storage, fetch });
    after.watch('job/J1');
    await settle();
    socket().subscribed('job/J1', { mode: 'resumed', cursor: 'c7' });
    socket().says({ type: 'live', topic: 'job/J1', cursor: 'c7' });
    socket().says(update('job-progress', 'job/J1', { progress: 30, elapsed: 2 }));
    expect(after.jobs.get('J1')).toBeUndefined();
    await settle();
    expect(fetch.mock.calls.map(([url]) => String(url))).toEqual(['http://bridge.test/v1/jobs/J1']);
    socket().says(update('job-progress', 'job/J1', { progress: 40, elapsed: 3 }));
    expect(after.jobs.get('J1')?.job).toMatchObject({ filename: 'report.pdf', progress: 40 });

    // It is known now: nothing is asked for after another loss.
    after.reconnect();
    await settle();
    socket().accept();
    await settle();
    socket().subscribed('job/J1', { mode: 'resumed', cursor: 'c7' });
    await settle();
    expect(fetch).toHaveBeenCalledOnce();
  });

  it('are forgotten when the bridge cannot read them, and not given to it again and again', async () => {
    const storage = memory();
    const made = await connected({ storage });
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'live', topic: 'mine', cursor: 'garbage' });
    made.close();
    const after = await connected({ storage });
    after.watch('mine');
    for (let turn = 0; turn < 5; turn += 1) {
      await settle();
      const { id, after: cursor } = socket().topics().at(-1) ?? {};
      if (cursor !== undefined)
        socket().says({ id, type: 'error', code: 'CURSOR_INVALID', message: 'x', retryable: false });
    }
    expect(
      socket()
        .topics()
        .map(({ after: cursor }) => cursor),
    ).toEqual(['garbage', undefined]);
    expect(storage.kept.size).toBe(0);
  });

  it('are kept only once every listener has heard the event', async () => {
    const storage = memory();
    const made = await connected({ storage });
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    const seen: (string | undefined)[] = [];
    made.onEvent(() => seen.push([...storage.kept.values()].at(-1)));
    socket().says({ type: 'live', topic: 'mine', cursor: 'c7' });
    socket().says(event('job-started', 'mine', { revision: 11 }));
    expect(seen).toEqual(['c7']);
    expect([...storage.kept.values()]).toEqual(['c11']);
  });

  it('belong to one person, and go when the topic begins again', async () => {
    const storage = memory();
    const alice = await connected({ storage });
    alice.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'live', topic: 'mine', cursor: 'c7' });
    socket().says({ type: 'gap', topic: 'mine', reason: 'HISTORY_TRIMMED' });
    expect(storage.kept.size).toBe(0);
    socket().says({ type: 'live', topic: 'mine', cursor: 'c9' });

    const bob = client({ storage });
    bob.connect();
    await settle();
    socket().accept({ user: 'bob' });
    bob.watch('mine');
    await settle();
    expect(socket().ofType('subscribe')[0]).not.toHaveProperty('after');
  });

  it('are not kept of states: the next page must be told again', async () => {
    const storage = memory();
    const made = await connected({ storage });
    made.watch('queue');
    await settle();
    socket().subscribed('queue');
    socket().says({ type: 'queue-status', topic: 'queue', cursor: 'state-1', queue: {} });
    socket().says({ type: 'live', topic: 'queue', cursor: 'state-1' });
    expect(storage.kept.size).toBe(0);
  });

  it('are done without when the storage fails', async () => {
    const broken: CursorStorage = {
      getItem: () => {
        throw new Error('switched off');
      },
      setItem: () => {
        throw new Error('full');
      },
      removeItem: () => undefined,
    };
    const made = await connected({ storage: broken });
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    socket().says({ type: 'live', topic: 'mine', cursor: 'c7' });
    expect(made.topic('mine')).toEqual({ phase: 'live' });
  });
});

describe('without a network', () => {
  pausedTime();
  afterEach(() => vi.unstubAllGlobals());

  const answer = () => new Response(JSON.stringify({ job: job({ state: 'cancelled' }), cursor: 'c' }));

  it('a command waits and is done when the network is back', async () => {
    const fetch = vi.fn(async () => answer());
    const made = await connected({ fetch });
    socket().ends(1006);
    const cancelled = made.cancel('J1');
    await vi.advanceTimersByTimeAsync(100);
    expect(fetch).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1_000);
    socket().accept();
    await expect(cancelled).resolves.toMatchObject({ job: { state: 'cancelled' } });
    expect(fetch).toHaveBeenCalledOnce();
  });

  it('it is done as well when one connects again by hand', async () => {
    const made = await connected({ fetch: async () => answer() });
    socket().ends(1006);
    const cancelled = made.cancel('J1');
    await settle();
    made.reconnect();
    await settle();
    socket().accept();
    await expect(cancelled).resolves.toMatchObject({ job: { state: 'cancelled' } });
  });

  it('one that was cut off is done again, a submit with the same request id', async () => {
    vi.stubGlobal('XMLHttpRequest', undefined);
    const asked: string[] = [];
    let cut = true;
    const fetch = vi.fn(async (url: unknown) => {
      asked.push(new URL(String(url)).searchParams.get('requestId') ?? '');
      if (!cut) return new Response(JSON.stringify({ job: job(), cursor: 'c' }), { status: 201 });
      socket().ends(1006);
      throw new TypeError('network');
    }) as unknown as typeof globalThis.fetch;
    const made = await connected({ fetch });
    const submitted = made.submit(new Blob(['%PDF']));
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    cut = false;
    await vi.advanceTimersByTimeAsync(1_000);
    socket().accept();
    await expect(submitted).resolves.toMatchObject({ cursor: 'c' });
    expect(asked[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(asked[1]).toBe(asked[0]);
  });

  it('a failure that is the network of this call only is told at once', async () => {
    const made = await connected({
      fetch: async () => {
        throw new TypeError('network');
      },
    });
    await expect(made.retry('J1')).rejects.toMatchObject({ code: 'NETWORK', retryable: true });
  });

  it('what waits is given up when the client is closed', async () => {
    const made = await connected({ fetch: async () => answer() });
    socket().ends(1006);
    const waiting = expect(made.delete('J1')).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    await settle();
    made.close();
    await waiting;
  });

  it('what waits can be stopped', async () => {
    const made = await connected({ fetch: async () => answer() });
    socket().ends(1006);
    const abort = new AbortController();
    const waiting = expect(made.submit(new Blob(['%PDF']), { signal: abort.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await settle();
    abort.abort();
    await waiting;
  });
});

describe('loops', () => {
  pausedTime();

  it('give every event of a topic in order, and leaving one unsubscribes', async () => {
    const made = await connected();
    const seen: string[] = [];
    const loop = (async () => {
      for await (const each of made.events('job/J1')) {
        seen.push(each.type);
        if (each.type === 'job-completed') break;
      }
    })();
    await vi.waitFor(() => expect(socket().ofType('subscribe')).toHaveLength(1));
    socket().subscribed('job/J1', { mode: 'resumed' });
    for (const message of pageGroup('job/J1', 1, 11, ['heading'])) socket().says(message);
    socket().says(event('job-completed', 'job/J1', { revision: 12, state: 'succeeded' }));
    await loop;
    expect(seen).toEqual(['zone-completed', 'page-completed', 'job-completed']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket().ofType('unsubscribe')).toMatchObject([{ topic: 'job/J1' }]);
  });

  it('give the newest view of a job until it is finished', async () => {
    const made = await connected();
    const seen: number[] = [];
    const loop = (async () => {
      for await (const view of made.follow('J1')) seen.push(view.job.progress);
    })();
    await vi.waitFor(() => expect(socket().ofType('subscribe')).toHaveLength(1));
    socket().subscribed('job/J1');
    socket().says({ type: 'snapshot', topic: 'job/J1', job: job({ progress: 20 }) });
    await settle();
    socket().says(update('job-progress', 'job/J1', { progress: 30 }));
    socket().says(update('job-progress', 'job/J1', { progress: 40 }));
    await settle();
    socket().says(event('job-completed', 'job/J1', { revision: 12, state: 'succeeded', progress: 100 }));
    await loop;
    expect(seen).toEqual([20, 40, 100]);
  });

  it('end with the reason when the topic is refused', async () => {
    const made = await connected();
    const ended = expect(made.finished('J9')).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    await vi.waitFor(() => expect(socket().ofType('subscribe')).toHaveLength(1));
    const id = socket().ofType('subscribe')[0]?.['id'];
    socket().says({ id, type: 'error', code: 'JOB_NOT_FOUND', message: 'no such job', retryable: false });
    await ended;
  });

  it('end quietly by a signal', async () => {
    const made = await connected();
    const abort = new AbortController();
    const loop = (async () => {
      for await (const _ of made.events('mine', { signal: abort.signal }));
      return 'over';
    })();
    await vi.waitFor(() => expect(socket().ofType('subscribe')).toHaveLength(1));
    abort.abort();
    await expect(loop).resolves.toBe('over');
  });

  it('listeners hear the types they asked for', async () => {
    const made = await connected();
    made.watch('mine');
    await settle();
    socket().subscribed('mine');
    const done: string[] = [];
    const stop = made.on('job-completed', ({ job: { jobId } }) => done.push(jobId));
    socket().says(event('job-started', 'mine', { revision: 11 }));
    socket().says(event('job-completed', 'mine', { revision: 12, state: 'succeeded' }));
    stop();
    socket().says(event('job-completed', 'mine', { revision: 13, state: 'succeeded' }));
    expect(done).toEqual(['J1']);
  });
});

describe('where there is no WebSocket', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('as in Node 20, the client begins with event streams', async () => {
    vi.stubGlobal('WebSocket', undefined);
    FakeSocket.all = [];
    const asked: string[] = [];
    const fetch = vi.fn(async (url: unknown) => {
      asked.push(new URL(String(url)).pathname);
      return new Response('{"code":"TOKEN_INVALID","detail":"no"}', { status: 401 });
    }) as unknown as typeof globalThis.fetch;
    const made = new CourantClient({ url: 'http://bridge.test', token: () => 't', fetch });
    made.watch('mine');
    made.connect();
    await vi.waitFor(() => expect(made.connection.status).toBe('failed'));
    expect(asked[0]).toBe('/v1/events');
    expect(FakeSocket.all).toHaveLength(0);
  });

  it('asks for the address where there is no page', () => {
    expect(() => new CourantClient({ token: () => 't' })).toThrow(CourantError);
  });
});
