/**
 * A socket over plain HTTP, for networks that let no WebSocket through: takes the commands a WebSocket takes and says what
 * it would say, over event streams or by polling (PROTOCOL.md, section 9). One request follows all topics; when they
 * change it is requested again from the cursor of each topic.
 */
import { type CourantError, problem } from './errors.ts';
import { events } from './event-stream.ts';
import { isObject, type Json } from './read.ts';
import type { SocketLike } from './socket.ts';
import { Timer } from './timer.ts';

export interface HttpSocketOptions {
  /** The absolute address of a path below the bridge. */
  readonly url: (path: string) => string;
  readonly fetch: typeof fetch;
  readonly by: 'sse' | 'polling';
}

interface Topic {
  /** The `subscribe` that waits for its answer. */
  id: unknown;
  cursor: string | null;
  readonly interval: number;
}

/** Longer than the server's longest silence: the request is held up somewhere. */
const silenceMs = 33_000;
/** Polls begin no closer to each other than this. */
const betweenPollsMs = 200;

/** This socket takes several topics in one command, whatever the bridge takes: each change is another request. */
function bulk(limits: unknown): Json {
  const given = isObject(limits) ? limits : {};
  return { ...given, messageBurst: given['messageBurst'] ?? given['messagesPerSecond'] ?? 50 };
}

/** Of one of several topics in a command: its name, or an object that has it. */
const topicOf = (each: unknown): string => String(isObject(each) ? each['topic'] : each);

export class HttpSocket implements SocketLike {
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  onerror: SocketLike['onerror'] = null;
  readonly #options: HttpSocketOptions;
  readonly #topics = new Map<string, Topic>();
  readonly #again = new Timer();
  readonly #silence = new Timer();
  readonly #closed = new AbortController();
  #request = new AbortController();
  #token = '';
  #device: Json = {};
  /** The `auth` that waits for its answer. */
  #auth: unknown = null;

  constructor(options: HttpSocketOptions) {
    this.#options = options;
    this.#again.set(0, () => this.onopen?.call(this as unknown as WebSocket, new Event('open')));
  }

  send(text: string): void {
    const command = JSON.parse(text) as Json;
    const { id, type } = command;
    // One, or several in one message.
    const several = Array.isArray(command['topics']) ? (command['topics'] as unknown[]) : [command];
    switch (type) {
      case 'auth':
        this.#token = String(command['token']);
        // A renewal says nothing of it.
        if (isObject(command['device'])) this.#device = command['device'];
        this.#auth = id;
        break;
      case 'subscribe':
        for (const each of several) this.#subscribe(each as Json, id);
        break;
      case 'ping':
        void this.#ping(id);
        return;
      default:
        this.#say({ id, type: 'ok' });
        if (type !== 'unsubscribe') return;
        for (const each of several) this.#topics.delete(topicOf(each));
    }
    // Commands given together are asked together.
    this.#again.set(0, () => void this.#follow());
  }

  #subscribe(asked: Json, id: unknown): void {
    const { after, minIntervalMs } = asked;
    const cursor = typeof after === 'string' ? after : null;
    this.#topics.set(topicOf(asked), { id, cursor, interval: Number(minIntervalMs ?? 1000) });
  }

  close(): void {
    this.#again.clear();
    this.#silence.clear();
    this.#request.abort();
    this.#closed.abort();
  }

  /** Measures the round trip to the bridge. Silence of the stream itself shows whether that lives. */
  async #ping(id: unknown): Promise<void> {
    // Not of the request that follows the topics: that ends whenever they change.
    const answer = await this.#get('livez', this.#closed.signal).catch(() => null);
    if (answer?.ok) this.#say({ id, type: 'pong' });
  }

  async #follow(): Promise<void> {
    this.#request.abort();
    const request = new AbortController();
    this.#request = request;
    try {
      let then = await this.#ask(request.signal);
      while (then === 'again' && !request.signal.aborted) then = await this.#ask(request.signal);
      if (then === 'cut' && !request.signal.aborted) this.#end(1006, 'CLOSED');
    } catch {
      if (!request.signal.aborted) this.#end(1006, 'NETWORK');
    }
  }

  /** One request to its end, and what to do then. */
  async #ask(signal: AbortSignal): Promise<'again' | 'cut' | 'idle'> {
    const byEvents = this.#options.by === 'sse';
    const asked = [...this.#topics.keys()];
    const begun = performance.now();
    this.#listen(signal);
    const answer = await this.#get(`${byEvents ? 'v1/events' : 'v1/events:poll'}?${this.#query()}`, signal);
    if (!answer.ok || answer.body === null) {
      this.#refused(problem(answer.status, await answer.text(), answer.headers.get('retry-after')), asked);
      return 'again';
    }
    if (byEvents) {
      await this.#stream(answer.body, signal);
      return 'cut';
    }
    const { messages } = (await answer.json()) as { messages: unknown[] };
    this.#silence.clear();
    for (const message of signal.aborted ? [] : messages) this.#receive(message);
    // Whatever answers at once is not asked without end.
    const took = performance.now() - begun;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, betweenPollsMs - took)));
    return this.#topics.size > 0 ? 'again' : 'idle';
  }

  async #stream(body: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<void> {
    for await (const { type, data } of events(body)) {
      if (signal.aborted) return;
      this.#listen(signal);
      if (type === 'message') this.#receive(JSON.parse(data));
    }
  }

  #listen(signal: AbortSignal): void {
    if (!signal.aborted) this.#silence.set(silenceMs, () => this.#end(1006, 'SILENT'));
  }

  #query(): URLSearchParams {
    const query = new URLSearchParams();
    const intervals = [...this.#topics].map(([name, { cursor, interval }]) => {
      query.append('topic', name);
      if (cursor !== null) query.append('after', cursor);
      return interval;
    });
    query.append('minIntervalMs', String(Math.min(1000, ...intervals)));
    const { id, name } = this.#device;
    if (id !== undefined) query.append('deviceId', String(id));
    if (name !== undefined) query.append('deviceName', String(name));
    return query;
  }

  #get(path: string, signal: AbortSignal): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#token}` };
    return this.#options.fetch(this.#options.url(path), { headers, signal, cache: 'no-store' });
  }

  /** The only topic cannot be followed, or nothing can. */
  #refused(error: CourantError, asked: readonly string[]): void {
    const { code, message, status, retryable, retryAfterMs } = error;
    const [only] = asked;
    if (asked.length === 1 && (status === 400 || status === 404)) {
      this.#receive({ type: 'error', topic: only, code, message, retryable });
      return;
    }
    const close = status === 401 || status === 403 || status === 429 ? 4000 + status : 1006;
    this.#say({ type: 'closing', code: close, reason: code, message, retryAfterMs });
    this.#end(close, code);
  }

  #receive(message: unknown): void {
    if (!isObject(message)) return;
    switch (message['type']) {
      case 'connected':
        if (this.#auth !== null) this.#say({ ...message, limits: bulk(message['limits']), id: this.#auth });
        this.#auth = null;
        return;
      case 'auth-error':
      case 'draining':
        this.#say(message);
        return;
      case 'closing':
        this.#say(message);
        this.#end(Number(message['code']), String(message['reason']));
        return;
      default:
        this.#hearOf(String(message['topic']), message);
    }
  }

  #hearOf(name: string, message: Json): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    const { id } = topic;
    if (message['type'] === 'error') {
      this.#topics.delete(name);
      const ended = { type: 'unsubscribed', topic: name, code: message['code'] };
      this.#say(id === null ? ended : { ...message, id });
      return;
    }
    if (message['type'] === 'gap' || message['mode'] === 'snapshot') topic.cursor = null;
    if (typeof message['cursor'] === 'string') topic.cursor = message['cursor'];
    if (message['type'] !== 'subscribed') {
      this.#say(message);
      return;
    }
    topic.id = null;
    // Resumed at its cursor: nothing changes for who follows it already.
    if (id !== null) this.#say({ ...message, id });
    else if (message['mode'] !== 'resumed') this.#say(message);
  }

  #say(message: object): void {
    const event = new MessageEvent('message', { data: JSON.stringify(message) });
    this.onmessage?.call(this as unknown as WebSocket, event);
  }

  #end(code: number, reason: string): void {
    this.close();
    const event = Object.assign(new Event('close'), { code, reason, wasClean: false });
    this.onclose?.call(this as unknown as WebSocket, event);
  }
}
