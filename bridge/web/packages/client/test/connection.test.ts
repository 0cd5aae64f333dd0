import { describe, expect, it, vi } from 'vitest';
import { CourantError } from '../src/index.ts';
import { accepted, client, connected, FakeSocket, pausedTime, settle, socket } from './harness.ts';

describe('connecting', () => {
  pausedTime();

  it('offers the subprotocol and sends the token as the first message, not in the address', async () => {
    const made = client({ token: async () => 'secret' });
    made.connect();
    expect(made.connection).toEqual({ status: 'connecting', attempt: 0 });
    await settle();
    socket().open();
    expect(socket().url).toBe('ws://bridge.test/ws');
    expect(socket().protocols).toEqual(['courant.v1.json']);
    expect(socket().sent).toEqual([{ id: 0, type: 'auth', token: 'secret' }]);
    socket().accept();
    expect(made.connection).toMatchObject({ status: 'connected', user: 'alice', latencyMs: null });
  });

  it('measures the round trip', async () => {
    const made = await connected();
    const ping = socket().ofType('ping')[0];
    await vi.advanceTimersByTimeAsync(12);
    socket().says({ type: 'pong', id: ping?.['id'] });
    expect(made.connection).toMatchObject({ latencyMs: 12 });
  });

  it('gives up a connection that is never answered, and tries again', async () => {
    const made = client();
    made.connect();
    await settle();
    socket().open();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(socket().closed).toBe(true);
    expect(made.connection).toMatchObject({ status: 'reconnecting', cause: { reason: 'TIMEOUT' } });
  });

  it('ignores unknown messages and fields, and reports broken ones without ending', async () => {
    const onBroken = vi.fn();
    const made = await connected({ onBroken });
    socket().says({ type: 'confetti', topic: 'mine' });
    expect(onBroken).not.toHaveBeenCalled();
    socket().says('not json');
    socket().says({ type: 'snapshot', topic: 'mine', job: { jobId: 7 } });
    expect(onBroken).toHaveBeenCalledTimes(2);
    expect(made.connection.status).toBe('connected');
  });

  it('says nothing more after disconnect', async () => {
    const made = await connected();
    const first = socket();
    made.disconnect();
    expect(first.closed).toBe(true);
    expect(first.onmessage).toBeNull();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(FakeSocket.all).toHaveLength(1);
    expect(made.connection).toEqual({ status: 'disconnected' });
  });
});

describe('coming back', () => {
  pausedTime();

  it('waits with full jitter, doubling from one second to thirty', async () => {
    const made = client({ random: () => 1 });
    made.connect();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 7; attempt += 1) {
      await settle();
      socket().ends(1006);
      const state = made.connection;
      if (state.status !== 'reconnecting') throw new Error(state.status);
      waits.push(state.retryAt - Date.now());
      await vi.advanceTimersByTimeAsync(waits.at(-1) ?? 0);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  it('takes any part of the wait, from nothing on', async () => {
    const made = client({ random: () => 0 });
    made.connect();
    await settle();
    socket().ends(1006);
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('starts small again only after a connection that held', async () => {
    const made = await connected({ random: () => 1 });
    socket().ends(1006);
    await vi.advanceTimersByTimeAsync(1000);
    socket().accept();
    socket().ends(1006);
    expect(made.connection).toMatchObject({ attempt: 2, retryAt: Date.now() + 2000 });
    await vi.advanceTimersByTimeAsync(2000);
    socket().accept();
    await vi.advanceTimersByTimeAsync(5000);
    socket().ends(1006);
    expect(made.connection).toMatchObject({ attempt: 1, retryAt: Date.now() + 1000 });
  });

  it('keeps to retryAfterMs and believes `closing` more than the close code', async () => {
    const made = await connected({ random: () => 0 });
    socket().says({ type: 'draining', retryAfterMs: 1840 });
    socket().says({ type: 'closing', code: 4503, reason: 'DRAINING', message: 'bye', retryAfterMs: 1840 });
    socket().ends(1006);
    expect(made.connection).toMatchObject({
      status: 'reconnecting',
      retryAt: Date.now() + 1840,
      cause: { code: 4503, reason: 'DRAINING' },
    });
  });

  it.each([1002, 1007, 1009, 4400, 4403, 4406, 4499])('stops at %i', async (code) => {
    const made = await connected();
    socket().ends(code);
    expect(made.connection).toMatchObject({ status: 'failed', code });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it.each([4408, 4429, 4500, 4503, 4504, 1001, 1006, 1011])('tries again after %i', async (code) => {
    const made = await connected();
    socket().ends(code);
    expect(made.connection.status).toBe('reconnecting');
  });

  it('comes back at once when it was too slow, but not in a loop', async () => {
    const made = await connected();
    await vi.advanceTimersByTimeAsync(5000);
    socket().ends(4508);
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all).toHaveLength(2);
    socket().accept();
    socket().ends(4508);
    expect(made.connection).toMatchObject({ status: 'reconnecting', retryAt: Date.now() + 1000 });
  });

  it('goes on after `failed` when asked to', async () => {
    const made = await connected();
    socket().ends(4400);
    made.reconnect();
    await settle();
    socket().accept();
    expect(made.connection.status).toBe('connected');
  });

  it('finds a dead connection by its silence', async () => {
    const made = await connected();
    await vi.advanceTimersByTimeAsync(1000);
    socket().says({ type: 'pong', id: socket().ofType('ping')[0]?.['id'] });
    await vi.advanceTimersByTimeAsync(24_000);
    expect(socket().ofType('ping')).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(7_999);
    expect(made.connection.status).toBe('connected');
    await vi.advanceTimersByTimeAsync(1);
    expect(made.connection).toMatchObject({ status: 'reconnecting', cause: { reason: 'SILENT' } });
  });

  it('takes any message as a sign of life', async () => {
    const made = await connected();
    socket().says({ type: 'bookmark', topic: 'mine', cursor: 'c' });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(made.connection.status).toBe('connected');
  });

  it('tries at once when the network comes back, and says offline until then', async () => {
    const heard = new Map<string, () => void>();
    vi.stubGlobal('addEventListener', (type: string, listener: () => void) => heard.set(type, listener));
    vi.stubGlobal('removeEventListener', () => undefined);
    const made = await connected();
    vi.stubGlobal('navigator', { onLine: false });
    socket().ends(1006);
    expect(made.connection).toEqual({ status: 'offline' });
    vi.stubGlobal('navigator', { onLine: true });
    heard.get('online')?.();
    await settle();
    expect(FakeSocket.all).toHaveLength(2);
    socket().accept();
    expect(made.connection.status).toBe('connected');
  });

  it('is offline soon after the network went, though a message was still on its way', async () => {
    const listeners = new Map<string, () => void>();
    vi.stubGlobal('addEventListener', (type: string, run: () => void) => listeners.set(type, run));
    vi.stubGlobal('removeEventListener', () => undefined);
    const made = await connected();
    const answer = () => socket().says({ type: 'pong', id: socket().ofType('ping').at(-1)?.['id'] });
    answer();
    vi.stubGlobal('navigator', { onLine: false });
    listeners.get('offline')?.();
    socket().says({ type: 'bookmark', topic: 'mine', cursor: 'c' });
    await vi.advanceTimersByTimeAsync(8_000);
    expect(made.connection.status).toBe('offline');
    // A browser may be wrong about the network: an answer proves that it is there.
    made.reconnect();
    await settle();
    socket().accept();
    answer();
    listeners.get('offline')?.();
    answer();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(made.connection.status).toBe('connected');
  });

  it('tries at once when the tab shows again, and not while it is hidden', async () => {
    const heard = new Map<string, () => void>();
    const page = {
      visibilityState: 'hidden',
      addEventListener: (type: string, listener: () => void) => heard.set(type, listener),
      removeEventListener: () => undefined,
    };
    vi.stubGlobal('addEventListener', () => undefined);
    vi.stubGlobal('removeEventListener', () => undefined);
    vi.stubGlobal('document', page);
    const made = await connected({ random: () => 1 });
    socket().ends(1006);
    expect(made.connection.status).toBe('reconnecting');
    heard.get('visibilitychange')?.();
    await settle();
    expect(FakeSocket.all).toHaveLength(1);
    page.visibilityState = 'visible';
    heard.get('visibilitychange')?.();
    await settle();
    expect(FakeSocket.all).toHaveLength(2);
  });
});

describe('tokens', () => {
  pausedTime();

  it('asks once more when the token has run out, and goes on with the new one', async () => {
    const tokens = ['old', 'new'];
    const made = await connected({ token: () => tokens.shift() ?? 'new' });
    socket().says({ type: 'auth-error', code: 'TOKEN_EXPIRED', message: 'the token has expired' });
    socket().ends(4401);
    await settle();
    socket().open();
    expect(socket().sent).toEqual([{ id: 0, type: 'auth', token: 'new' }]);
    socket().accept();
    expect(made.connection.status).toBe('connected');
  });

  it('fails with the reason when there is no other token', async () => {
    const made = await connected();
    socket().says({ type: 'auth-error', code: 'TOKEN_EXPIRED', message: 'the token has expired' });
    socket().says({ type: 'closing', code: 4401, reason: 'TOKEN_EXPIRED', message: 'x', retryAfterMs: null });
    socket().ends(1006);
    await settle();
    expect(made.connection).toMatchObject({ status: 'failed', code: 4401, reason: 'TOKEN_EXPIRED' });
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('does not go round and round with new tokens that are refused too', async () => {
    let count = 0;
    const made = client({ token: () => `t${count++}` });
    made.connect();
    for (let turn = 0; turn < 5; turn += 1) {
      await settle();
      socket().ends(4401);
    }
    expect(made.connection).toMatchObject({ status: 'failed', code: 4401 });
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('fails without dialling when there is no token', async () => {
    const made = client({ token: () => null });
    made.connect();
    await settle();
    expect(made.connection).toMatchObject({ status: 'failed', reason: 'TOKEN_MISSING' });
    expect(FakeSocket.all).toHaveLength(0);
  });

  it('tries again when the token provider fails', async () => {
    const made = client({
      token: () => {
        throw new CourantError('X', 'the identity service is away');
      },
    });
    made.connect();
    await settle();
    expect(made.connection).toMatchObject({ status: 'reconnecting', cause: { reason: 'TOKEN_UNAVAILABLE' } });
  });

  it('asks for a fresh token when the bridge says that this one is about to end', async () => {
    let token = 'one';
    await connected({ token: () => token });
    token = 'two';
    socket().says({ type: 'auth-expiring', tokenExpiresAt: '2026-11-21T09:01:00Z', expiresInMs: 60_000 });
    await settle();
    expect(socket().ofType('auth').at(-1)).toMatchObject({ token: 'two' });
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('renews the token on the open connection a minute before it runs out', async () => {
    let token = 'one';
    const made = client({ token: () => token });
    made.connect();
    await settle();
    socket().accept({ tokenExpiresAt: new Date(Date.now() + 600_000).toISOString() });
    token = 'two';
    // The bridge answers every ping, so that the connection lives that long.
    for (let second = 0; second < 541; second += 1) {
      await vi.advanceTimersByTimeAsync(1000);
      socket().says({ type: 'bookmark', topic: 'mine', cursor: 'c' });
    }
    expect(socket().ofType('auth').at(-1)).toMatchObject({ token: 'two' });
    expect(FakeSocket.all).toHaveLength(1);
    socket().says({ id: 0, type: 'connected', ...accepted, roles: ['admin'] });
    expect(made.connection).toMatchObject({ status: 'connected', roles: ['admin'] });
  });
});
