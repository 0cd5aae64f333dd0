import { describe, expect, it, vi } from 'vitest';
import type { ClientOptions, CourantClient } from '../src/index.ts';
// Loaded beforehand, so that loading it takes no time.
import '../src/decode.ts';
import '../src/http-socket.ts';
import { accepted, client, event, FakeSocket, pausedTime, socket } from './harness.ts';

const greeting = { type: 'connected', ...accepted };

/** One request of the client, and the means to answer it. */
class Request {
  readonly path: string;
  readonly query: [string, string][];
  readonly token: string;
  readonly signal: AbortSignal | null;
  readonly answer: (response: Response) => void;
  #body: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(url: URL, init: RequestInit | undefined, answer: (response: Response) => void) {
    this.path = url.pathname;
    this.query = [...url.searchParams].filter(([name]) => name !== 'minIntervalMs');
    this.token = new Headers(init?.headers).get('authorization') ?? '';
    this.signal = init?.signal ?? null;
    this.answer = answer;
  }

  /** Begins an event stream. */
  streams(): this {
    this.answer(new Response(new ReadableStream({ start: (controller) => this.#begin(controller) })));
    return this;
  }

  says(...messages: object[]): void {
    const text = messages.map((message) => `data: ${JSON.stringify(message)}\n\n`).join('');
    this.#body?.enqueue(new TextEncoder().encode(text));
  }

  ends(): void {
    this.#body?.close();
  }

  polled(...messages: object[]): void {
    this.answer(Response.json({ messages: [greeting, ...messages], cursors: {} }));
  }

  refused(status: number, code: string): void {
    const body = { code, detail: 'no', retryable: false };
    this.answer(Response.json(body, { status }));
  }

  #begin(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#body = controller;
  }
}

/** The HTTP side of a bridge. `open` are the requests that wait. */
function http(): { readonly requests: Request[]; readonly fetch: typeof fetch; last: () => Request } {
  const requests: Request[] = [];
  return {
    requests,
    fetch: (input, init) =>
      new Promise((resolve, reject) => {
        const request = new Request(new URL(String(input)), init, resolve);
        if (request.path === '/livez') return resolve(new Response('ok'));
        init?.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
        requests.push(request);
      }),
    last: () => {
      const last = requests.at(-1);
      if (last === undefined) throw new Error('nothing was asked');
      return last;
    },
  };
}

/** Lets everything happen that needs no time; a timeout of nothing within another takes a millisecond here. */
async function settle(): Promise<void> {
  for (let round = 0; round < 10; round += 1) {
    await vi.advanceTimersByTimeAsync(1);
    await vi.dynamicImportSettled();
  }
}

async function fallen(options: Partial<ClientOptions>): Promise<CourantClient> {
  const made = client({ transports: ['websocket', 'sse', 'polling'], random: () => 0, ...options });
  made.connect();
  for (let tries = 0; tries < 2; tries += 1) {
    await settle();
    socket().ends(1006);
    await settle();
  }
  await settle();
  return made;
}

async function onEvents(bridge: ReturnType<typeof http>): Promise<CourantClient> {
  const made = await fallen({ fetch: bridge.fetch });
  bridge.last().streams().says(greeting);
  await settle();
  return made;
}

const subscribed = (topic: string, mode = 'snapshot'): object => ({
  type: 'subscribed',
  topic,
  mode,
  cursor: mode === 'resumed' ? 'c' : null,
  minIntervalMs: 1000,
});
const live = (topic: string, cursor: string): object => ({ type: 'live', topic, cursor });

describe('where no WebSocket gets through', () => {
  pausedTime();

  it('says which device it is, also on the way there and in the search for a better one', async () => {
    const bridge = http();
    const device = { id: 'laptop', name: 'Firefox on Linux' };
    await fallen({ fetch: bridge.fetch, device });
    expect(bridge.last().query).toEqual([
      ['deviceId', 'laptop'],
      ['deviceName', 'Firefox on Linux'],
    ]);
    bridge
      .last()
      .streams()
      .says({ ...greeting, deviceId: 'laptop' });
    await settle();
    await vi.advanceTimersByTimeAsync(15_000);
    socket().open();
    expect(socket().ofType('auth')[0]).toMatchObject({ device });
  });

  it('follows by event streams, and says why', async () => {
    const bridge = http();
    const made = await onEvents(bridge);
    expect(bridge.last()).toMatchObject({ path: '/v1/events', query: [], token: 'Bearer token' });
    expect(made.connection).toMatchObject({
      status: 'connected',
      user: 'alice',
      transport: 'sse',
      fallback: { code: 1006 },
    });
  });

  it('asks for all topics at once, and again from where each is', async () => {
    const bridge = http();
    const made = await onEvents(bridge);
    made.watch('mine');
    made.watch('job/J1');
    await settle();
    expect(bridge.last().query).toEqual([
      ['topic', 'mine'],
      ['topic', 'job/J1'],
    ]);
    const first = bridge.last().streams();
    first.says(greeting, subscribed('mine'), live('mine', 'c5'));
    first.says(subscribed('job/J1'), event('job-started', 'job/J1', { revision: 7 }));
    await settle();
    expect(made.topic('mine')).toEqual({ phase: 'live' });
    expect(made.topic('job/J1')).toEqual({ phase: 'loading' });

    made.watch('batch/B');
    await settle();
    await settle();
    expect(first.signal?.aborted).toBe(true);
    expect(bridge.last().query).toEqual([
      ['topic', 'mine'],
      ['after', 'c5'],
      ['topic', 'job/J1'],
      ['after', 'c7'],
      ['topic', 'batch/B'],
    ]);
    // Who followed already hears nothing of it.
    const phases = new Set<string>();
    made.jobs.subscribe(() => phases.add(made.topic('mine').phase));
    bridge.last().streams().says(greeting, subscribed('mine', 'resumed'), live('mine', 'c7'));
    await settle();
    expect([...phases]).toEqual(['live']);
  });

  it('tells a topic that is refused from the others', async () => {
    const bridge = http();
    const made = await onEvents(bridge);
    made.watch('job/GONE');
    await settle();
    await settle();
    bridge.last().refused(404, 'JOB_NOT_FOUND');
    await settle();
    expect(made.topic('job/GONE')).toMatchObject({ phase: 'ended', code: 'JOB_NOT_FOUND' });
    expect(made.connection.status).toBe('connected');
    made.watch('mine');
    made.watch('job/GONE2');
    await settle();
    await settle();
    const error = {
      type: 'error',
      topic: 'job/GONE2',
      code: 'JOB_NOT_FOUND',
      message: 'no',
      retryable: false,
    };
    bridge.last().streams().says(greeting, error, subscribed('mine'), live('mine', 'c1'));
    await settle();
    expect(made.topic('job/GONE2')).toMatchObject({ phase: 'ended', code: 'JOB_NOT_FOUND' });
    expect(made.topic('mine')).toEqual({ phase: 'live' });
  });

  it('hears the answer to a ping although the topics changed meanwhile', async () => {
    const bridge = http();
    const pings: ((answer: Response) => void)[] = [];
    const fetch: typeof globalThis.fetch = (input, init) => {
      if (!String(input).endsWith('/livez')) return bridge.fetch(input, init);
      return new Promise((resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
        pings.push(resolve);
      });
    };
    const made = await fallen({ fetch });
    bridge.last().streams().says(greeting);
    await settle();
    made.watch('mine');
    await settle();
    // The stream of the topics says nothing yet.
    pings[0]?.(new Response('ok'));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(made.connection).toMatchObject({ status: 'connected', latencyMs: expect.any(Number) });
  });

  it('asks for many topics in one request, also of a bridge that takes one in a command', async () => {
    const bridge = http();
    const made = await onEvents(bridge);
    const before = bridge.requests.length;
    const stops = Array.from({ length: 100 }, (_, at) => made.watch(`job/${at}`));
    await settle();
    expect(bridge.requests).toHaveLength(before + 1);
    expect(bridge.last().query).toHaveLength(100);
    for (const stop of stops.slice(1)) stop();
    await vi.advanceTimersByTimeAsync(1_000);
    await settle();
    expect(bridge.last().query).toEqual([['topic', 'job/0']]);
    expect(bridge.requests.length).toBeLessThanOrEqual(before + 4);
  });

  it('polls where streams are held back, and goes on by cursor', async () => {
    const bridge = http();
    const made = await fallen({ fetch: bridge.fetch, connectTimeoutMs: 1000 });
    // The proxy keeps the stream to itself: twice nothing comes in time.
    await vi.advanceTimersByTimeAsync(1000);
    await vi.advanceTimersByTimeAsync(1000);
    await settle();
    expect(bridge.last()).toMatchObject({ path: '/v1/events:poll', query: [] });
    bridge.last().polled();
    await settle();
    expect(made.connection).toMatchObject({ transport: 'polling', fallback: { reason: 'TIMEOUT' } });
    made.watch('mine');
    await settle();
    await settle();
    bridge.last().polled(subscribed('mine'), live('mine', 'c3'));
    await settle();
    const before = bridge.requests.length;
    // Answered at once, it is asked again a moment later.
    await vi.advanceTimersByTimeAsync(100);
    expect(bridge.requests).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(100);
    await settle();
    expect(bridge.last().query).toEqual([
      ['topic', 'mine'],
      ['after', 'c3'],
    ]);
    bridge
      .last()
      .polled(
        subscribed('mine', 'resumed'),
        event('job-started', 'mine', { revision: 4 }),
        live('mine', 'c4'),
      );
    await vi.advanceTimersByTimeAsync(200);
    await settle();
    expect(made.jobs.get('J1')?.job.revision).toBe(4);
    expect(bridge.last().query.at(-1)).toEqual(['after', 'c4']);
  });

  it('leaves a WebSocket that opens and then is mute', async () => {
    const bridge = http();
    const made = client({ transports: ['websocket', 'sse'], random: () => 0, fetch: bridge.fetch });
    made.connect();
    for (let tries = 0; tries < 2; tries += 1) {
      await settle();
      socket().accept();
      await vi.advanceTimersByTimeAsync(8_000);
    }
    await settle();
    bridge.last().streams().says(greeting);
    await settle();
    expect(made.connection).toMatchObject({ transport: 'sse', fallback: { reason: 'SILENT' } });
  });

  it('climbs back when a WebSocket works again, and misses nothing', async () => {
    const bridge = http();
    const made = await onEvents(bridge);
    made.watch('mine');
    await settle();
    const stream = bridge.last().streams();
    stream.says(greeting, subscribed('mine'), live('mine', 'c9'));
    await settle();
    const before = FakeSocket.all.length;
    await vi.advanceTimersByTimeAsync(15_000);
    expect(FakeSocket.all).toHaveLength(before + 1);
    // It opens, greets, and is mute: no better.
    socket().accept();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(made.connection).toMatchObject({ transport: 'sse' });
    stream.says({ type: 'bookmark', topic: 'mine', cursor: 'c10' });
    await vi.advanceTimersByTimeAsync(30_000);
    const scout = socket();
    scout.accept();
    scout.says({ id: 1, type: 'pong' });
    await settle();
    expect(scout.closed).toBe(true);
    socket().accept();
    await settle();
    expect(made.connection).toMatchObject({ transport: 'websocket', fallback: null });
    expect(socket().ofType('subscribe')[0]).toMatchObject({ topic: 'mine', after: 'c10' });
  });

  it('does not blame the WebSocket when nothing works', async () => {
    const bridge = http();
    const down: typeof fetch = () => Promise.reject(new TypeError('failed to fetch'));
    const made = await fallen({ fetch: down });
    const dialled = FakeSocket.all.length;
    await settle();
    expect(made.connection).not.toMatchObject({ status: 'failed' });
    expect(FakeSocket.all.length).toBeGreaterThan(dialled - 1);
    await vi.advanceTimersByTimeAsync(1);
    socket().accept();
    expect(made.connection).toMatchObject({ transport: 'websocket', fallback: null });
    expect(bridge.requests).toEqual([]);
  });

  it('asks for a new token when the old one is refused, and gives up when that is, too', async () => {
    const bridge = http();
    const tokens = ['old', 'old', 'old', 'new'];
    const made = await fallen({ fetch: bridge.fetch, token: () => tokens.shift() ?? 'new' });
    bridge.last().refused(401, 'TOKEN_EXPIRED');
    await settle();
    expect(bridge.last().token).toBe('Bearer new');
    bridge.last().refused(401, 'TOKEN_EXPIRED');
    await settle();
    expect(made.connection).toMatchObject({ status: 'failed', code: 4401 });
  });

  it('takes up a stream that was cut, and one that fell silent', async () => {
    const bridge = http();
    const made = await onEvents(bridge);
    await vi.advanceTimersByTimeAsync(5_000);
    bridge.last().ends();
    await settle();
    await settle();
    bridge.last().streams().says(greeting);
    await settle();
    expect(made.connection).toMatchObject({ status: 'connected', transport: 'sse' });
    await vi.advanceTimersByTimeAsync(33_000);
    await settle();
    expect(made.connection.status).not.toBe('connected');
  });
});
