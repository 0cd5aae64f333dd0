/** Loops that must end or slow down: reconnecting, renewing tokens, and calls to a bridge that is busy. */
import { describe, expect, it, vi } from 'vitest';
import { client, connected, FakeSocket, job, pausedTime, settle, socket } from './harness.ts';

/** A bridge that answers with these, one after the other, and with the last for ever. */
function bridge(...answers: (() => Response)[]) {
  const calls: { readonly method: string; readonly url: string; readonly at: number }[] = [];
  const fetch = (async (url: string, init: RequestInit) => {
    calls.push({ method: init.method ?? '', url, at: Date.now() });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return answer?.() ?? new Response();
  }) as typeof globalThis.fetch;
  return { calls, fetch };
}

const busy =
  (status: number, code: string, retryAfter: string | null, retryable = true) =>
  () =>
    new Response(JSON.stringify({ status, code, detail: 'busy', retryable }), {
      status,
      headers: retryAfter === null ? {} : { 'retry-after': retryAfter },
    });
const good = () => Response.json({ job: job(), cursor: 'c' });
const outcome = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );

describe('a connection that ends again and again', () => {
  pausedTime();

  it('is given up when it is too slow to sign in five times in a row', async () => {
    const made = client();
    made.connect();
    for (let turn = 0; turn < 600; turn += 1) {
      await settle();
      if (made.connection.status === 'connecting') socket().ends(4408);
      await vi.advanceTimersByTimeAsync(200);
    }
    expect(FakeSocket.all).toHaveLength(5);
    expect(made.connection).toMatchObject({ status: 'failed', code: 4408 });
  });

  it('is given up at an unknown 44xx, whatever the tab and the network do', async () => {
    const heard = new Map<string, () => void>();
    vi.stubGlobal('addEventListener', (type: string, listener: () => void) => heard.set(type, listener));
    vi.stubGlobal('removeEventListener', () => undefined);
    const made = await connected();
    socket().ends(4477);
    for (let turn = 0; turn < 10; turn += 1) {
      heard.get('online')?.();
      await vi.advanceTimersByTimeAsync(60_000);
    }
    expect(FakeSocket.all).toHaveLength(1);
    expect(made.connection).toMatchObject({ status: 'failed', code: 4477 });
  });

  it('waits longer each time when tokens are taken first and refused then', async () => {
    let count = 0;
    const made = client({ token: () => `t${count++}`, random: () => 1 });
    made.connect();
    const until = Date.now() + 60_000;
    while (Date.now() < until) {
      await settle();
      const last = socket();
      if (made.connection.status === 'connecting') {
        last.accept();
        last.ends(4401);
      }
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(FakeSocket.all.length).toBeGreaterThan(3);
    expect(FakeSocket.all.length).toBeLessThan(9);
  });

  it('renews no token every moment because the clock is ahead of the server’s', async () => {
    let count = 0;
    FakeSocket.answersPings = true;
    const token = vi.fn(() => `t${count++}`);
    const made = client({ token });
    made.connect();
    await settle();
    const past = { tokenExpiresAt: new Date(Date.now() - 3_600_000).toISOString() };
    socket().accept(past);
    for (let second = 0; second < 60; second += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      socket().says({ id: 0, type: 'connected', connectionId: 'c', user: 'alice', roles: [], ...past });
    }
    expect(token.mock.calls.length).toBeLessThan(15);
    made.close();
  });
});

describe('calls to a bridge that is busy', () => {
  pausedTime();

  it('wait as long as it says, and are made again', async () => {
    const { calls, fetch } = bridge(
      busy(429, 'RATE_LIMITED', '3'),
      busy(503, 'SERVER_UNAVAILABLE', '5'),
      good,
    );
    const got = outcome(client({ fetch }).get('J1'));
    await vi.advanceTimersByTimeAsync(2_999);
    expect(calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await got).toBe('done');
    expect((calls[2]?.at ?? 0) - (calls[1]?.at ?? 0)).toBeGreaterThanOrEqual(5_000);
  });

  it('are made no more than four times', async () => {
    const { calls, fetch } = bridge(busy(429, 'RATE_LIMITED', '1'));
    const got = outcome(client({ fetch }).cancel('J1'));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await got).toBe('RATE_LIMITED');
    expect(calls).toHaveLength(4);
  });

  it.each([
    ['a wait that is too long', 429, 'QUOTA_EXCEEDED', '3600'],
    ['no word on how long', 503, 'SERVER_UNAVAILABLE', null],
    ['another failure', 500, 'INTERNAL', '1'],
  ])('are not repeated for %s', async (_, status, code, retryAfter) => {
    const { calls, fetch } = bridge(busy(status, code, retryAfter));
    expect(await outcome(client({ fetch }).get('J1'))).toBe(code);
    expect(calls).toHaveLength(1);
  });

  it('are not repeated where the first may have done it', async () => {
    const { calls, fetch } = bridge(busy(503, 'SERVER_UNAVAILABLE', '1'));
    const got = outcome(client({ fetch }).request('POST', 'v1/notifications', {}));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await got).toBe('SERVER_UNAVAILABLE');
    expect(calls).toHaveLength(1);
  });

  it('are given up when nobody wants the answer any more', async () => {
    const { calls, fetch } = bridge(busy(429, 'RATE_LIMITED', '30'));
    const abort = new AbortController();
    const got = outcome(client({ fetch }).get('J1', abort.signal));
    await settle();
    abort.abort();
    expect(await got).toBe('ABORTED');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(calls).toHaveLength(1);
  });

  it('wait in no endless queue while there is no network', async () => {
    const made = await connected({ fetch: bridge(good).fetch });
    socket().ends(1006);
    const waiting = Array.from({ length: 1000 }, (_, at) => outcome(made.cancel(`J${at}`)));
    expect(await outcome(made.cancel('one more'))).toBe('QUEUE_FULL');
    made.close();
    const ends = await Promise.all(waiting);
    expect(new Set(ends)).toEqual(new Set(['CONNECTION_LOST']));
    made.connect();
    await settle();
    socket().accept();
    expect(await outcome(made.cancel('again'))).toBe('done');
    made.close();
  });
});

describe('uploads to a bridge that is busy', () => {
  pausedTime();
  const small = new Blob(['%PDF']);

  it.each([
    [429, 'RATE_LIMITED'],
    [429, 'QUOTA_EXCEEDED'],
    [503, 'SERVER_UNAVAILABLE'],
  ])('wait as long as it says after %i %s, as the same request', async (status, code) => {
    const { calls, fetch } = bridge(busy(status, code, '7'), good);
    const waits: boolean[] = [];
    const sent = outcome(
      client({ fetch }).submit(small, { onWaiting: (isWaiting) => waits.push(isWaiting) }),
    );
    await settle();
    await vi.advanceTimersByTimeAsync(6_990);
    expect([calls.length, waits]).toEqual([1, [true]]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await sent).toBe('done');
    expect(waits).toEqual([true, false]);
    expect(calls[0]?.url).toBe(calls[1]?.url);
    expect(calls[0]?.url).toContain('requestId=');
  });

  it('are given up after ten tries, and at once when the wait is too long', async () => {
    const full = bridge(busy(429, 'QUOTA_EXCEEDED', '5'));
    const sent = outcome(client({ fetch: full.fetch }).submit(small));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await sent).toBe('QUOTA_EXCEEDED');
    expect(full.calls).toHaveLength(10);
    const day = bridge(busy(429, 'QUOTA_EXCEEDED', '86400'));
    expect(await outcome(client({ fetch: day.fetch }).submit(small))).toBe('QUOTA_EXCEEDED');
    const large = bridge(busy(429, 'QUOTA_EXCEEDED', '86400'));
    const options = { fetch: large.fetch, resumableFrom: 1 };
    expect(await outcome(client(options).submit(small))).toBe('QUOTA_EXCEEDED');
    expect([day.calls.length, large.calls.length]).toEqual([1, 1]);
  });

  it('stop waiting when they are stopped', async () => {
    const { calls, fetch } = bridge(busy(429, 'RATE_LIMITED', '30'));
    const abort = new AbortController();
    const options = { signal: abort.signal, onWaiting: () => abort.abort() };
    expect(await outcome(client({ fetch }).submit(small, options))).toBe('ABORTED');
    expect(calls).toHaveLength(1);
  });
});
