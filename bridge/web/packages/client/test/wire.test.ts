/** The client reads what the bridge's own types say: these lines are judged by the compiler more than by the run. */
import { describe, expect, expectTypeOf, it } from 'vitest';
import type {
  Export,
  ExportState,
  Job,
  JobState,
  JobStatus,
  Lane,
  Page,
  ResultFormat,
  ServerMessage,
  Step,
  Zone,
  ZoneKind,
  ZoneStatus,
} from '../src/index.ts';
import * as read from '../src/read.ts';
import type {
  AuditEntry,
  Batch,
  Connections,
  Notice,
  Queue,
  QueueLane,
  Quota,
  SystemMetrics,
  Worker,
  WorkerJob,
} from '../src/service.ts';
import type * as wire from '../src/wire.generated.ts';

/** What the bridge sends and the client does not give out. */
type Unread<Sent, Given, Known extends PropertyKey = never> = Exclude<keyof Sent, keyof Given | Known>;

describe('the types of the client', () => {
  it('have every message and every field of the bridge', () => {
    expectTypeOf<Exclude<wire.ServerMessage['type'], ServerMessage['type']>>().toBeNever();
    expectTypeOf<Unread<wire.Job, Job>>().toBeNever();
    expectTypeOf<Unread<wire.Zone, Zone>>().toBeNever();
    expectTypeOf<Unread<wire.Page, Page>>().toBeNever();
    expectTypeOf<Unread<wire.Export, Export>>().toBeNever();
    expectTypeOf<Unread<wire.Queue, Queue>>().toBeNever();
    expectTypeOf<Unread<wire.QueueLane, QueueLane>>().toBeNever();
    expectTypeOf<Unread<wire.Worker, Worker>>().toBeNever();
    expectTypeOf<Unread<wire.WorkerJob, WorkerJob>>().toBeNever();
    expectTypeOf<Unread<wire.Connections, Connections>>().toBeNever();
    expectTypeOf<Unread<wire.Record, AuditEntry>>().toBeNever();
    expectTypeOf<Unread<wire.Notification, Notice>>().toBeNever();
    expectTypeOf<Unread<wire.Quota, Quota>>().toBeNever();
    expectTypeOf<Unread<wire.Batch, Batch, 'revision'>>().toBeNever();
    expectTypeOf<Unread<wire.Figures, SystemMetrics, 'logRevision'>>().toBeNever();
  });

  it('have every word of the bridge, and no other', () => {
    expectTypeOf<JobState>().toEqualTypeOf<wire.JobState>();
    expectTypeOf<JobStatus>().toEqualTypeOf<wire.JobStatus>();
    expectTypeOf<Step>().toEqualTypeOf<wire.Step>();
    expectTypeOf<Lane>().toEqualTypeOf<wire.Lane>();
    expectTypeOf<ZoneKind>().toEqualTypeOf<wire.ZoneKind>();
    expectTypeOf<ZoneStatus>().toEqualTypeOf<wire.ZoneStatus>();
    expectTypeOf<ResultFormat>().toEqualTypeOf<wire.ResultFormat>();
    expectTypeOf<ExportState>().toEqualTypeOf<wire.ExportState>();
    expectTypeOf<Notice['severity']>().toEqualTypeOf<wire.Severity>();
  });

  it('do not compile when a field is another one', () => {
    const zone: read.Raw<wire.Zone> = { zoneId: 'z', page: 1, note: null, boundingBox: {} };
    read.text(zone, 'zoneId');
    read.textOrNull(zone, 'note');
    const wrong: readonly (() => unknown)[] = [
      // @ts-expect-error there is no such field
      () => read.text(zone, 'zoneID'),
      // @ts-expect-error it is a number
      () => read.text(zone, 'page'),
      // @ts-expect-error it may be missing
      () => read.text(zone, 'note'),
      // @ts-expect-error it is no text
      () => read.textOrNull(zone, 'boundingBox'),
      // @ts-expect-error it is no list
      () => read.list(zone, 'page', read.string),
    ];
    expect(wrong).toHaveLength(5);
  });
});
