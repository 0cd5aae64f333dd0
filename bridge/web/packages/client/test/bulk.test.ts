/** Many topics at once: in few messages, no faster than the bridge allows, and no more than it allows. */
import { describe, expect, it, vi } from 'vitest';
import { type CourantClient, CourantError } from '../src/index.ts';
import { accepted, client, FakeSocket, job, pausedTime, settle, socket } from './harness.ts';

const limits = { ...accepted.limits, messageBurst: 100 };

/** A client that is connected to a bridge with these limits. */
async function connected(more: object = {}): Promise<CourantClient> {
  FakeSocket.answersPings = true;
  const made = client();
  made.connect();
  await settle();
  socket().accept({ limits: { ...limits, ...more } });
  await settle();
  return made;
}

const jobs = (count: number): string[] => Array.from({ length: count }, (_, index) => `job/${index}`);
const watchAll = (made: CourantClient, count: number): (() => void)[] =>
  jobs(count).map((topic) => made.watch(topic));

/** A bridge that closes with 4429 whoever sends more than a bucket of messages holds, as the real one does. */
function judge(perSecond: number, burst: number): { readonly isOver: () => boolean } {
  let room = burst;
  let at = performance.now();
  let over = false;
  const { send } = FakeSocket.prototype;
  vi.spyOn(FakeSocket.prototype, 'send').mockImplementation(function (this: FakeSocket, data) {
    room = Math.min(burst, room + ((performance.now() - at) * perSecond) / 1000) - 1;
    at = performance.now();
    over ||= room < 0;
    send.call(this, data);
  });
  return { isOver: () => over };
}

/** What a bridge that got these messages is subscribed to for this connection. */
function heldBy(sent: readonly Record<string, unknown>[]): ReadonlySet<unknown> {
  const held = new Set<unknown>();
  for (const { type, topic, topics = [topic] } of sent) {
    const names = (topics as unknown[]).map(
      (each) => (each as { topic?: unknown } | undefined)?.topic ?? each,
    );
    for (const name of names) {
      if (type === 'subscribe') held.add(name);
      if (type === 'unsubscribe') held.delete(name);
    }
  }
  return held;
}

describe('many topics', () => {
  pausedTime();

  it('are subscribed and left in one message each', async () => {
    const made = await connected();
    const stops = watchAll(made, 120);
    made.watch('mine', { minIntervalMs: 250 });
    await settle();
    expect(socket().ofType('subscribe')).toHaveLength(1);
    expect(socket().topics()).toHaveLength(121);
    expect(socket().topics().at(-1)).toMatchObject({ topic: 'mine', minIntervalMs: 250 });
    for (const topic of jobs(120)) socket().subscribed(topic);
    for (const stop of stops) stop();
    await vi.advanceTimersByTimeAsync(1000);
    expect(socket().ofType('unsubscribe')).toHaveLength(2);
    expect(socket().topics('unsubscribe')).toHaveLength(120);
  });

  it('are cut into messages that the bridge takes', async () => {
    const made = await connected({ maxMessageBytes: 2_000 });
    for (const topic of jobs(100)) made.watch(topic, { after: 'ä'.repeat(100) });
    await vi.advanceTimersByTimeAsync(1000);
    const sizes = socket()
      .ofType('subscribe')
      .map((message) => new TextEncoder().encode(JSON.stringify(message)).length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2_000);
    expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(1_500);
    expect(socket().topics()).toHaveLength(100);
  });

  it('go on where each of them was after a cut, in one message', async () => {
    const made = await connected();
    watchAll(made, 110);
    await settle();
    for (const [at, topic] of jobs(110).entries()) {
      socket().subscribed(topic);
      socket().says({ type: 'live', topic, cursor: `c${at}` });
    }
    socket().ends(1006);
    await vi.advanceTimersByTimeAsync(1000);
    socket().accept({ limits });
    await settle();
    expect(socket().ofType('subscribe')).toHaveLength(1);
    expect(socket().topics().at(105)).toMatchObject({ topic: 'job/105', after: 'c105' });
  });

  it('are refused one by one, and the others are not touched', async () => {
    const made = await connected();
    watchAll(made, 3);
    await settle();
    const [{ id } = {}] = socket().ofType('subscribe');
    socket().subscribed('job/0');
    const error = { id, type: 'error', message: 'no', retryable: false };
    socket().says({ ...error, topic: 'job/1', code: 'JOB_NOT_FOUND' });
    socket().subscribed('job/2');
    expect(jobs(3).map((topic) => made.topic(topic).phase)).toEqual(['loading', 'ended', 'loading']);
  });

  it('are asked for one by one, and no faster than allowed, of a bridge that does not know several', async () => {
    const bridge = judge(50, 100);
    const made = await connected({ messageBurst: undefined });
    watchAll(made, 128);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(socket().ofType('subscribe')).toHaveLength(128);
    expect(socket().ofType('subscribe')[5]).toMatchObject({ topic: 'job/5' });
    expect(bridge.isOver()).toBe(false);
  });

  it('that come and go all the time wait in no queue: what is wanted in the end is sent', async () => {
    const bridge = judge(5, 10);
    const made = await connected({ messagesPerSecond: 5, messageBurst: 10 });
    for (let round = 0; round < 500; round += 1) {
      const stop = made.watch(`job/${round % 60}`);
      await vi.advanceTimersByTimeAsync(20);
      if (round < 490) stop();
    }
    await vi.advanceTimersByTimeAsync(3_000);
    expect(bridge.isOver()).toBe(false);
    const held = heldBy(socket().sent);
    expect([...held].sort()).toEqual(Array.from({ length: 10 }, (_, index) => `job/${10 + index}`));
  });
});

describe('more topics than the bridge allows', () => {
  pausedTime();

  it('say so, name the limit, and begin when there is room', async () => {
    const made = await connected({ maxSubscriptions: 100 });
    const stops = watchAll(made, 103);
    await settle();
    expect(socket().topics()).toHaveLength(100);
    expect(made.topic('job/100')).toMatchObject({ phase: 'ended', code: 'SUBSCRIPTION_LIMIT' });
    expect(made.topic('job/100')).toMatchObject({ message: expect.stringContaining('100 topics') });
    const follow = made.follow('101').next();
    await expect(follow).rejects.toMatchObject({ code: 'SUBSCRIPTION_LIMIT' });
    await expect(follow).rejects.toBeInstanceOf(CourantError);
    stops[0]?.();
    stops[1]?.();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(
      socket()
        .topics('unsubscribe')
        .map(({ topic }) => topic),
    ).toEqual(['job/0', 'job/1']);
    expect(
      socket()
        .topics()
        .slice(100)
        .map(({ topic }) => topic),
    ).toEqual(['job/100', 'job/101']);
    expect(made.topic('job/100')).toEqual({ phase: 'waiting' });
    expect(made.topic('job/102')).toMatchObject({ phase: 'ended' });
  });

  it('take the place of those that only linger', async () => {
    const made = await connected({ maxSubscriptions: 3 });
    const stops = watchAll(made, 3);
    await settle();
    stops[1]?.();
    made.watch('mine');
    await settle();
    expect(socket().sent.slice(-2)).toMatchObject([
      { type: 'unsubscribe', topic: 'job/1' },
      { type: 'subscribe', topic: 'mine' },
    ]);
  });

  it('are never on one connection, also after a cut', async () => {
    const made = await connected({ maxSubscriptions: 5 });
    watchAll(made, 9);
    await settle();
    socket().ends(1006);
    await vi.advanceTimersByTimeAsync(1000);
    socket().accept({ limits: { ...limits, maxSubscriptions: 5 } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(
      socket()
        .topics()
        .map(({ topic }) => topic),
    ).toEqual(jobs(5));
    const phases = () => jobs(9).map((topic) => made.topic(topic).phase);
    expect(phases()).toEqual([...Array(5).fill('waiting'), ...Array(4).fill('ended')]);
    socket().subscribed('job/4');
    expect(phases().at(4)).toBe('loading');
  });
});

describe('commands that come too fast', () => {
  pausedTime();

  const limited = (id: unknown, retryAfterMs: number) =>
    socket().says({
      id,
      type: 'error',
      code: 'RATE_LIMITED',
      message: 'slower',
      retryable: true,
      retryAfterMs,
    });

  it('are sent in order at the pace of the bridge, and none is lost', async () => {
    const bridge = judge(50, 100);
    const made = await connected();
    const acks = Array.from({ length: 400 }, (_, index) => made.ack('mine', `c${index}`));
    await settle();
    expect(socket().ofType('ack').length).toBeLessThan(100);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(
      socket()
        .ofType('ack')
        .map(({ cursor }) => cursor),
    ).toEqual(acks.map((_, index) => `c${index}`));
    expect(bridge.isOver()).toBe(false);
    for (const { id } of socket().ofType('ack')) socket().says({ id, type: 'ok' });
    await Promise.all(acks);
  });

  it('do not hold up signs of life', async () => {
    const made = await connected({ messagesPerSecond: 1, messageBurst: 2 });
    for (let at = 0; at < 200; at += 1) void made.ack('mine', `c${at}`).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(socket().ofType('ack').length).toBeLessThan(30);
    expect(socket().ofType('ping')).toHaveLength(2);
    made.close();
  });

  it('are repeated after the time the bridge says, before those that came later', async () => {
    const made = await connected();
    const first = made.ack('mine', 'first');
    limited(socket().ofType('ack')[0]?.['id'], 700);
    void made.ack('mine', 'second').catch(() => undefined);
    await vi.advanceTimersByTimeAsync(699);
    expect(socket().ofType('ack')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(50);
    expect(
      socket()
        .ofType('ack')
        .map(({ cursor }) => cursor),
    ).toEqual(['first', 'first', 'second']);
    socket().says({ id: socket().ofType('ack')[1]?.['id'], type: 'ok' });
    await expect(first).resolves.toBeUndefined();
    made.close();
  });

  it('are asked for again as a whole when they were to subscribe', async () => {
    const made = await connected();
    const stops = watchAll(made, 3);
    await settle();
    limited(socket().ofType('subscribe')[0]?.['id'], 500);
    await vi.advanceTimersByTimeAsync(400);
    expect(socket().ofType('subscribe')).toHaveLength(1);
    stops[2]?.();
    await vi.advanceTimersByTimeAsync(150);
    expect(socket().ofType('subscribe')).toHaveLength(2);
    expect(made.topic('job/0')).toEqual({ phase: 'waiting' });
    socket().subscribed('job/0');
    socket().says({ type: 'snapshot', topic: 'job/0', job: job({ jobId: '0' }) });
    expect(made.jobs.get('0')).toBeDefined();
  });

  it('leave nothing that is watched again meanwhile', async () => {
    const made = await connected();
    const stop = made.watch('job/1');
    await settle();
    stop();
    await vi.advanceTimersByTimeAsync(1_000);
    const [{ id } = {}] = socket().ofType('unsubscribe');
    made.watch('job/1');
    await settle();
    limited(id, 100);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(socket().ofType('unsubscribe')).toHaveLength(1);
    expect(socket().ofType('subscribe')).toHaveLength(2);
  });
});

describe('commands that the bridge does not understand', () => {
  pausedTime();

  it('are not sent again', async () => {
    const made = await connected();
    const stops = watchAll(made, 2);
    await settle();
    for (const stop of stops) stop();
    await vi.advanceTimersByTimeAsync(1_000);
    const [{ id } = {}] = socket().ofType('unsubscribe');
    socket().says({ id, type: 'error', code: 'BAD_MESSAGE', message: 'no', retryable: false });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket().ofType('unsubscribe')).toHaveLength(1);
  });
});

describe('a connection that was closed for too many messages', () => {
  pausedTime();

  it('is tried again later each time, and is slower each time', async () => {
    const made = await connected({ messageBurst: undefined });
    watchAll(made, 100);
    const waits: number[] = [];
    const bursts: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      await settle();
      bursts.push(socket().ofType('subscribe').length);
      // Long enough for a connection to count as a good one.
      await vi.advanceTimersByTimeAsync(6_000);
      socket().ends(4429);
      const { connection } = made;
      if (connection.status !== 'reconnecting') throw new Error(connection.status);
      waits.push(connection.retryAt - Date.now());
      await vi.advanceTimersByTimeAsync(waits.at(-1) ?? 0);
      socket().accept({ limits: { ...limits, messageBurst: undefined } });
    }
    expect(waits).toEqual([1500, 3000, 6000, 12_000, 22_500]);
    expect(bursts.slice(0, 4).every((burst, at) => at === 0 || burst < (bursts[at - 1] ?? 0))).toBe(true);
  });

  it('is not tried sooner because the tab or the network comes back', async () => {
    vi.stubGlobal('addEventListener', (type: string, run: () => void) => listeners.set(type, run));
    vi.stubGlobal('removeEventListener', () => undefined);
    const listeners = new Map<string, () => void>();
    const made = await connected();
    socket().says({ type: 'closing', code: 4429, reason: 'TOO_MANY', message: 'x', retryAfterMs: 9_000 });
    socket().ends(4429);
    const dialled = FakeSocket.all.length;
    for (let at = 0; at < 20; at += 1) {
      listeners.get('online')?.();
      await vi.advanceTimersByTimeAsync(400);
    }
    expect(FakeSocket.all).toHaveLength(dialled);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(FakeSocket.all).toHaveLength(dialled + 1);
    made.close();
  });

  it('is as fast as before once one held for a minute', async () => {
    const made = await connected({ messageBurst: undefined });
    watchAll(made, 100);
    await settle();
    const before = socket().ofType('subscribe').length;
    socket().ends(4429);
    await vi.advanceTimersByTimeAsync(2_000);
    socket().accept({ limits });
    await vi.advanceTimersByTimeAsync(61_000);
    socket().ends(1006);
    await vi.advanceTimersByTimeAsync(1_000);
    socket().accept({ limits: { ...limits, messageBurst: undefined } });
    await settle();
    expect(socket().ofType('subscribe').length).toBe(before);
  });
});
