import { describe, expect, it } from 'vitest';
import { auditTrail, connectionCounts, queueStatus, systemMetrics, workers } from '../src/service.ts';
import { connected, pausedTime, socket } from './harness.ts';

const lane = { kind: 'pdf', lane: 'normal', waiting: 3, active: 2, averageWait: 1.5, share: 0.5 };
const queue = { lanes: [lane], workersTotal: 2, workersActive: 1, unservedKinds: ['video'] };

describe('what the service is doing', () => {
  pausedTime();

  it('is pushed, typed, and the same object until something new comes', async () => {
    const made = await connected();
    const heard: string[] = [];
    made.onPushed(() => heard.push('pushed'));
    made.watch('queue');
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
    socket().subscribed('queue');
    socket().says({ type: 'queue-status', topic: 'queue', cursor: 'q', queue: { lanes: [{ kind: 7 }] } });
    expect(queueStatus(made)).toBeNull();
  });
});
