import { describe, expect, it, vi } from 'vitest';
import {
  auditTrail,
  batch,
  cancelBatch,
  comings,
  connectionCounts,
  devices,
  drainWorker,
  queueStatus,
  quotas,
  systemMetrics,
  workers,
} from '../src/service.ts';
import { client, connected, pausedTime, settle, socket } from './harness.ts';

const lane = { kind: 'pdf', lane: 'normal', waiting: 3, active: 2, averageWait: 1.5, share: 0.5 };
const queue = { lanes: [lane], workersTotal: 2, workersActive: 1, unservedKinds: ['video'] };

describe('what the service is doing', () => {
  pausedTime();

  it('is pushed, typed, and the same object until something new comes', async () => {
    const made = await connected();
    const heard: string[] = [];
    made.onPushed(() => heard.push('pushed'));
    made.watch('queue');
    await settle();
    expect(queueStatus(made)).toBeNull();
    socket().subscribed('queue');
    socket().says({ type: 'queue-status', topic: 'queue', cursor: 'q1', queue });
    const first = queueStatus(made);
    expect(first).toMatchObject({ workersTotal: 2, slotsTotal: 0, unservedKinds: ['video'] });
    expect(first?.lanes[0]).toMatchObject({ waiting: 3, delayed: 0, averageWait: 1.5, estimatedWait: null });
    expect(queueStatus(made)).toBe(first);
    socket().says({
      type: 'queue-status',
      topic: 'queue',
      cursor: 'q2',
      queue: { ...queue, workersTotal: 3 },
    });
    expect(queueStatus(made)?.workersTotal).toBe(3);
    expect(heard).toHaveLength(2);
  });

  it('for admins has figures, workers, rooms and what was done', async () => {
    const made = await connected();
    made.watch('admin');
    await settle();
    socket().subscribed('admin');
    const push = (type: string, more: object) =>
      socket().says({ type, topic: 'admin', cursor: 'c', ...more });
    push('system-metrics', { metrics: { version: '1', cpuPercent: 3.5, jobs: { running: 4 } } });
    push('workers', {
      workers: [{ workerId: 'w1', kinds: ['pdf'], slots: 2, connected: true, draining: false }],
    });
    push('connections', { connections: { bridge: 'b', total: 2, users: 1, byKind: { mine: 2 } } });
    const entry = {
      time: '2026-11-21T09:00:00Z',
      deed: 'submitted',
      user: 'alice',
      address: null,
      target: 'J1',
    };
    push('audit', {
      entries: [
        { ...entry, number: 1 },
        { ...entry, number: 2 },
      ],
    });
    expect(systemMetrics(made)).toMatchObject({ cpuPercent: 3.5, jobs: { running: 4, queued: 0 } });
    expect(workers(made)).toMatchObject([{ workerId: 'w1', jobs: [], pageDurationMs: null }]);
    expect(connectionCounts(made)).toMatchObject({ total: 2, byKind: { mine: 2 }, rooms: [] });
    expect(auditTrail(made)?.map(({ number }) => number)).toEqual([2, 1]);
  });

  it('is nothing when it is not what the protocol says', async () => {
    const made = await connected();
    made.watch('queue');
    await settle();
    socket().subscribed('queue');
    socket().says({ type: 'queue-status', topic: 'queue', cursor: 'q', queue: { lanes: [{ kind: 7 }] } });
    expect(queueStatus(made)).toBeNull();
  });
});

describe('what one asks the service for', () => {
  const answering = (body: unknown) => {
    const asked: string[] = [];
    const fetch = (async (url: string, init: RequestInit) => {
      asked.push(`${init.method} ${new URL(url).pathname}${new URL(url).search}`);
      return new Response(JSON.stringify(body));
    }) as typeof globalThis.fetch;
    return { asked, made: client({ fetch }) };
  };

  it('is a batch as one, and its end', async () => {
    const { asked, made } = answering({
      batch: { batchId: 'b/1', owner: 'ann', jobsTotal: 200, complete: true },
    });
    expect(await batch(made, 'b/1')).toMatchObject({ jobsTotal: 200, jobsFailed: 0, complete: true });
    await cancelBatch(made, 'b/1', 'ann');
    expect(asked).toEqual(['GET /v1/batches/b%2F1', 'POST /v1/batches/b%2F1:cancel?owner=ann']);
    await expect(batch(answering({ batch: 7 }).made, 'b')).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('is what one may submit, and that a worker takes nothing new', async () => {
    const quota = { name: 'jobs-waiting', limit: 100, used: 3, retryAfter: null };
    const { asked, made } = answering({ quotas: [quota] });
    expect(await quotas(made)).toEqual([quota]);
    await drainWorker(made, 'w 1', true);
    await drainWorker(made, 'w 1', false);
    expect(asked).toEqual(['GET /v1/quota', 'POST /v1/workers/w%201:drain', 'POST /v1/workers/w%201:resume']);
  });
});

describe('who is connected', () => {
  pausedTime();

  const device = (deviceId: string, more: object = {}) => ({
    deviceId,
    name: null,
    transports: ['websocket', 'pigeon'],
    connections: 1,
    connectTime: '2026-11-21T09:00:00Z',
    ...more,
  });

  it('is told as a list, with this device marked, and who came and left by comparing', async () => {
    const made = client({ device: { id: 'laptop', name: 'Firefox on Linux' } });
    made.connect();
    await vi.advanceTimersByTimeAsync(0);
    socket().accept({ deviceId: 'laptop' });
    expect(socket().ofType('auth')[0]).toMatchObject({ device: { id: 'laptop', name: 'Firefox on Linux' } });
    made.watch('devices');
    await settle();
    expect(devices(made)).toBeNull();
    socket().subscribed('devices');
    const push = (list: object[], complete = true) =>
      socket().says({ type: 'devices', topic: 'devices', cursor: 'c', devices: list, complete });
    push([device('phone', { name: 'Chrome on Android' }), device('laptop')]);
    const before = devices(made);
    expect(before?.devices).toEqual([
      { ...device('phone'), name: 'Chrome on Android', transports: ['websocket'], current: false },
      { ...device('laptop'), transports: ['websocket'], current: true },
    ]);
    expect(devices(made)).toBe(before);
    push([device('laptop', { connections: 2 }), device('tablet')], false);
    const now = devices(made);
    expect(now?.complete).toBe(false);
    if (before === null || now === null) throw new Error('nothing was read');
    const { joined, left } = comings(before, now);
    expect([joined, left].map((some) => some.map(({ deviceId }) => deviceId))).toEqual([
      ['tablet'],
      ['phone'],
    ]);
    expect(comings(now, now)).toEqual({ joined: [], left: [] });
  });

  it('counts for admins over all bridges', async () => {
    const made = await connected();
    made.watch('admin');
    await settle();
    socket().subscribed('admin');
    const bridge = { bridge: 'b', connections: 3, users: 2, rooms: 1 };
    const everywhere = { total: 3, users: 2, devices: 2, byKind: { mine: 3 }, rooms: [], bridges: [bridge] };
    const connections = { bridge: 'b', total: 2, users: 1, byKind: {}, everywhere };
    socket().says({ type: 'connections', topic: 'admin', cursor: 'c', connections });
    expect(connectionCounts(made)?.everywhere).toEqual({
      ...everywhere,
      bridges: [{ ...bridge, software: '', connectTime: null }],
    });
  });
});
