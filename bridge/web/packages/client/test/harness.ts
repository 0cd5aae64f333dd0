/** A bridge made of fake sockets, for stories that run on paused time. */
import { afterEach, beforeEach, vi } from 'vitest';
import { type ClientOptions, CourantClient, type Job, type SocketLike } from '../src/index.ts';

/** What a bridge says of a connection that it accepts. */
export const accepted = {
  connectionId: 'c',
  deviceId: 'd',
  user: 'alice',
  roles: [],
  tokenExpiresAt: '2026-12-21T09:00:00Z',
  pingIntervalMs: 25_000,
  pongTimeoutMs: 8_000,
  limits: {
    maxMessageBytes: 65_536,
    maxSubscriptions: 128,
    messagesPerSecond: 50,
    messageBurst: null as number | null,
    outboxBytes: 1_048_576,
  },
  version: '0.1.0',
};

export class FakeSocket implements SocketLike {
  static all: FakeSocket[] = [];
  /** Whether pings are answered, for stories that last longer than a silence may. */
  static answersPings = false;
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  onerror: SocketLike['onerror'] = null;
  readonly sent: Record<string, unknown>[] = [];
  closed = false;
  readonly url: string;
  readonly protocols: string[];

  constructor(url: string, protocols: string[]) {
    this.url = url;
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }

  send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void {
    const message = JSON.parse(String(data)) as Record<string, unknown>;
    this.sent.push(message);
    if (message['type'] === 'ping' && FakeSocket.answersPings)
      queueMicrotask(() => this.says({ id: message['id'], type: 'pong' }));
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.onopen?.call(this as unknown as WebSocket, new Event('open'));
  }

  says(message: object | string): void {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.onmessage?.call(this as unknown as WebSocket, new MessageEvent('message', { data }));
  }

  /** Ends as a real socket does. */
  ends(code: number): void {
    const event = Object.assign(new Event('close'), { code, reason: '', wasClean: false });
    this.onclose?.call(this as unknown as WebSocket, event as unknown as CloseEvent);
  }

  accept(more: object = {}): void {
    this.open();
    this.says({
      id: 0,
      type: 'connected',
      ...accepted,
      ...more,
    });
  }

  ofType(type: string): Record<string, unknown>[] {
    return this.sent.filter((command) => command['type'] === type);
  }

  /** What was asked for by `subscribe` or `unsubscribe`, also where one message has several topics. */
  topics(type: 'subscribe' | 'unsubscribe' = 'subscribe'): Record<string, unknown>[] {
    return this.ofType(type).flatMap(({ id, topics, ...one }) =>
      ((topics as unknown[] | undefined) ?? [one]).map((each) => ({
        id,
        ...(typeof each === 'string' ? { topic: each } : (each as object)),
      })),
    );
  }

  /** Answers the newest `subscribe` of a topic. */
  subscribed(topic: string, more: object = { mode: 'snapshot' }): void {
    const id = this.topics().findLast((asked) => asked['topic'] === topic)?.['id'];
    this.says({ id, type: 'subscribed', topic, cursor: null, minIntervalMs: 1000, ...more });
  }
}

/** The socket the client uses now. */
export function socket(): FakeSocket {
  const last = FakeSocket.all.at(-1);
  if (last === undefined) throw new Error('the client has not dialled');
  return last;
}

/** Paused time and no sockets from the story before. */
export function pausedTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse('2026-11-21T09:00:00Z') });
    FakeSocket.all = [];
    FakeSocket.answersPings = false;
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('this story has no HTTP')));
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });
}

/** Lets promises that are due settle. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
  // Modules that are loaded when they are needed.
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(0);
}

export function client(options: Partial<ClientOptions> = {}): CourantClient {
  return new CourantClient({
    url: 'http://bridge.test',
    token: () => 'token',
    WebSocket: FakeSocket,
    transports: ['websocket'],
    random: () => 0.5,
    format: 'json',
    device: null,
    ...options,
  });
}

/** A client that is connected. */
export async function connected(options: Partial<ClientOptions> = {}): Promise<CourantClient> {
  const made = client(options);
  made.connect();
  await settle();
  socket().accept();
  return made;
}

export function job(more: Partial<Job> = {}): Job {
  return {
    jobId: 'J1',
    documentId: 'd',
    batchId: null,
    owner: 'alice',
    kind: 'pdf',
    filename: 'report.pdf',
    documentBytes: 1000,
    documentSha256: 'ab',
    lane: 'normal',
    labels: {},
    parameters: null,
    parametersBytes: 0,
    state: 'running',
    status: 'progress',
    progress: 20,
    step: 'extract',
    operation: 'Processed 1/4 pages',
    unitsDone: 1,
    unitsTotal: 4,
    currentZone: null,
    zonesCompleted: 0,
    zonesTotal: 0,
    pagesDone: 0,
    pagesTotal: 4,
    documentPages: more.pagesTotal === undefined ? 4 : more.pagesTotal,
    queuePosition: null,
    estimatedWait: null,
    estimatedTimeRemaining: null,
    elapsed: 1,
    attempt: 1,
    maxAttempts: 3,
    attempts: [],
    result: null,
    outputs: [],
    error: null,
    warnings: [],
    createTime: '2026-11-21T08:30:00.120Z',
    startTime: null,
    endTime: null,
    retryTime: null,
    expireTime: null,
    revision: 10,
    timestamp: '2026-11-21T08:30:01Z',
    ...more,
  };
}

/** A durable job message: the whole job. */
export function event(
  type: string,
  topic: string,
  more: Partial<Job> & Record<string, unknown> = {},
): object {
  return { type, topic, cursor: `c${more.revision ?? 10}`, ...job(more) };
}

/** A transient job message: what changes without an event. */
export function update(
  type: string,
  topic: string,
  more: Partial<Job> & Record<string, unknown> = {},
): object {
  const { jobId, revision, attempt, status, progress, step, operation, unitsDone, unitsTotal } = job(more);
  const { currentZone, zonesCompleted, zonesTotal, elapsed, timestamp } = job(more);
  const { queuePosition, estimatedWait, estimatedTimeRemaining } = job(more);
  return {
    ...{ type, topic, jobId, revision, attempt, status, progress, step, operation, unitsDone, unitsTotal },
    ...{ currentZone, zonesCompleted, zonesTotal, queuePosition, estimatedWait, estimatedTimeRemaining },
    ...{ elapsed, timestamp },
    ...('export' in more && { export: more['export'] }),
  };
}

export function zone(page: number, index: number, kind = 'paragraph'): object {
  const boundingBox = { x0: 0, y0: 0, x1: 10, y1: 10 };
  const zoneId = `p${page}z${index}`;
  return {
    zoneId,
    index,
    page,
    boundingBox,
    kind,
    tool: 'text-layer',
    status: 'completed',
    confidence: 1,
    durationMs: 1,
  };
}

/** A finished page as the bridge sends it: its zones, then the page with the cursor. */
export function pageGroup(
  topic: string,
  number: number,
  revision: number,
  kinds: readonly string[],
): object[] {
  const zones = kinds.map((kind, index) => ({
    type: 'zone-completed',
    topic,
    jobId: 'J1',
    documentId: 'd',
    status: 'progress',
    progress: 20,
    step: 'extract',
    zonesCompleted: 1,
    zonesTotal: 1,
    revision,
    zone: zone(number, index + 1, kind),
  }));
  const page = { number, width: 595, height: 842, zoneCount: kinds.length, durationMs: 5, warnings: [] };
  return [...zones, event('page-completed', topic, { revision, pagesDone: number, page })];
}
