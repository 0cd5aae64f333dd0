import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import {
  auditTrail,
  batch,
  type Connections,
  cancelBatch,
  connectionCounts,
  deviceChanges,
  devices,
  drainWorker,
  type Queue,
  queueStatus,
  quotas,
  systemMetrics,
  workers,
} from '../src/service.ts';
import { client, connected, pausedTime, settle, socket } from './harness.ts';

/** The first message of a type that PROTOCOL.md shows, to be changed. */
function example<T>(type: string): T {
  const file = new URL('../../../../schema/golden.json', import.meta.url);
  const golden = JSON.parse(readFileSync(file, 'utf8')) as readonly { json: { type: string } }[];
  return golden.find(({ json }) => json.type === type)?.json as T;
}

const { queue } = example<{ queue: Queue }>('queue-status');
const { connections } = example<{ connections: Connections }>('connections');

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
    expect(first).toEqual(queue);
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

  it('for admins has statistics, workers, connections and what was done', async () => {
    const made = await connected();
    made.watch('admin');
    await settle();
    socket().subscribed('admin');
    const push = (type: string, more: object) =>
      socket().says({ type, topic: 'admin', cursor: 'c', ...more });
    for (const type of ['system-metrics', 'workers', 'connections']) push(type, example<object>(type));
    const entry = {
      time: '2026-11-21T09:00:00Z',
      action: 'submitted',
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
    expect(systemMetrics(made)).toMatchObject({ cpuPercent: 3.5, jobs: { running: 1 } });
    expect(workers(made)).toMatchObject([{ workerId: 'local-1', pageDurationMs: 35.5 }]);
    expect(connectionCounts(made)).toEqual(connections);
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
    const of = {
      batchId: 'b/1',
      owner: 'ann',
      jobsTotal: 200,
      jobsQueued: 0,
      jobsRunning: 0,
      jobsCancelling: 0,
      jobsSucceeded: 200,
      jobsFailed: 0,
      jobsCancelled: 0,
      progress: 100,
      pagesTotal: 400,
      pagesDone: 400,
      complete: true,
      createTime: '2026-11-21T09:00:00Z',
      endTime: '2026-11-21T09:01:00Z',
      revision: 99,
    };
    const { asked, made } = answering({ batch: of });
    expect(await batch(made, 'b/1')).toEqual(of);
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
    const { joined, left } = deviceChanges(before, now);
    expect([joined, left].map((some) => some.map(({ deviceId }) => deviceId))).toEqual([
      ['tablet'],
      ['phone'],
    ]);
    expect(deviceChanges(now, now)).toEqual({ joined: [], left: [] });
  });
});
