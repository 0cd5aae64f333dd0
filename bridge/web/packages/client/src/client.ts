/** The client: one connection, the topics watched over it, the jobs known through it, and the HTTP calls beside it. */
import type { DocumentPart, JobAndCursor, JobList, ListOptions, ResultFile } from './calls.ts';
import { Commands } from './commands.ts';
import { Connection, type TokenProvider } from './connection.ts';
import { type CursorStorage, Cursors } from './cursors.ts';
import { CourantError } from './errors.ts';
import type { JobView } from './fold.ts';
import { Http } from './http.ts';
import type { JobEvent, ServerMessage, StateMessage, TopicMessage } from './messages.ts';
import { newRequestId } from './request-id.ts';
import type { SocketConstructor } from './socket.ts';
import type { ConnectionState } from './state.ts';
import { JobStore, type Schedule } from './store.ts';
import { Subscriptions, type TopicState, type WatchOptions } from './subscriptions.ts';
import { type TransportName, transports } from './transport.ts';
import { isFinished, type Job, type ResultFormat } from './types.ts';
import type { SubmitOptions } from './upload.ts';

export interface ClientOptions {
  /** The bridge's address. The page's own origin when left out. */
  readonly url?: string;
  /** Gives the token each time one is needed. Called again when it runs out or is refused. */
  readonly token: TokenProvider;
  /** The ceiling of the first wait before a new try, in milliseconds. Default 1000. */
  readonly backoffFirstMs?: number;
  /** The ceiling of all waits. Default 30000. */
  readonly backoffMaxMs?: number;
  /** From opening a connection to being signed in. Default 10000. */
  readonly connectTimeoutMs?: number;
  /** The ways to try, best first. Default: WebSocket, then event streams, then polling. */
  readonly transports?: readonly TransportName[];
  /**
   * Where cursors are kept, for example `localStorage`: topics then go on after a reload where they were, and every event is
   * heard at least once. What `jobs` knew is not kept: ask `list` for the jobs that did not change meanwhile.
   */
  readonly storage?: CursorStorage | undefined;
  /** When listeners of `jobs` are told; a microtask after the change by default. */
  readonly schedule?: Schedule;
  /** Hears of messages that could not be read. Nothing else is done about them. */
  readonly onBroken?: (reason: string) => void;
  /** For Node and tests. */
  readonly WebSocket?: SocketConstructor;
  readonly fetch?: typeof fetch;
  readonly random?: () => number;
}

type EventListener = (event: JobEvent) => void;
type StateListener = (message: StateMessage) => void;
/** How a topic is followed in a loop; `signal` ends it. */
export type FollowOptions = WatchOptions & { readonly signal?: AbortSignal };
/** An event of one type. */
export type EventOf<T extends JobEvent['type']> = Extract<JobEvent, { readonly type: T }>;

const load = () => import('./calls.ts');
/** Topics that are told as a whole. */
const stateTopics = new Set(['queue', 'admin', 'notifications']);

export class CourantClient {
  /** All jobs known so far. */
  readonly jobs: JobStore;
  readonly #connection: Connection;
  readonly #commands: Commands;
  readonly #subscriptions: Subscriptions;
  readonly #http: Http;
  readonly #stateListeners = new Set<() => void>();
  readonly #eventListeners = new Set<EventListener>();
  readonly #pushedListeners = new Set<StateListener>();
  readonly #pushed = new Map<StateMessage['type'], StateMessage>();
  readonly #cursors: Cursors;

  constructor(options: ClientOptions) {
    const base = options.url ?? globalThis.location?.origin;
    if (!base) throw new CourantError('BAD_ADDRESS', 'give the address of the bridge as `url`');
    this.jobs = new JobStore(options.schedule);
    const fetch: typeof globalThis.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#http = new Http({ base, token: options.token, fetch });
    this.#connection = new Connection(
      {
        transports: transports({
          names: options.transports ?? ['websocket', 'sse', 'polling'],
          base,
          url: (path) => this.#http.url(path),
          // Node before 22 has none; event streams do there.
          socket: options.WebSocket ?? globalThis.WebSocket,
          fetch,
        }),
        token: options.token,
        random: options.random ?? Math.random,
        backoffFirstMs: options.backoffFirstMs ?? 1_000,
        backoffMaxMs: options.backoffMaxMs ?? 30_000,
        connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      },
      {
        onState: (state) => this.#stateChanged(state),
        onReady: () => {
          // What waited goes first: the subscriptions below add to it.
          this.#commands.ready();
          this.#subscriptions.ready();
          // At hand should the network go: a module cannot be loaded then.
          void load().catch(() => undefined);
        },
        onMessage: (message) => this.#receive(message),
        onBroken: (reason) => options.onBroken?.(reason),
      },
    );
    this.#cursors = new Cursors(options.storage, () => {
      const { connection } = this;
      return connection.status === 'connected' ? `${base} ${connection.user}` : null;
    });
    this.#commands = new Commands((command) => this.#connection.send(command));
    this.#subscriptions = new Subscriptions(this.#commands, {
      isReady: () => this.#connection.state.status === 'connected',
      onState: () => this.#topicChanged(),
      recall: (topic) => this.#cursors.recall(topic),
      onRestart: (topic, reason) => {
        this.#cursors.forget(topic);
        this.jobs.restart(topic, reason);
      },
      onMessage: (message) => {
        this.#take(message);
        // The cursor of a state names what this page has been told, and the next page has been told nothing.
        if (stateTopics.has(message.topic)) return;
        if ('cursor' in message && message.cursor !== null) this.#cursors.keep(message.topic, message.cursor);
      },
    });
  }

  get connection(): ConnectionState {
    return this.#connection.state;
  }

  /** Is told whenever `connection` changes. */
  onConnection(listener: () => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  /** Hears every event of the watched topics; one that belongs to two topics is heard once for each. */
  onEvent(listener: EventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  connect(): void {
    this.#connection.connect();
  }

  /** Connects anew without waiting, also after `failed`. */
  reconnect(): void {
    this.#connection.reconnect();
  }

  /** Ends the connection. Topics stay and are resumed by `connect`. */
  disconnect(): void {
    this.#connection.disconnect();
  }

  /** Disconnects and gives up all commands that still wait. */
  close(): void {
    this.#connection.disconnect();
    this.#commands.close();
    this.#stateListeners.clear();
    this.#eventListeners.clear();
  }

  /** Watches `mine`, `job/ID`, `document/ID` or `batch/ID` until the returned function is called. */
  watch(topic: string, options: WatchOptions = {}): () => void {
    return this.#subscriptions.watch(topic, options);
  }

  topic(topic: string): TopicState {
    return this.#subscriptions.state(topic);
  }

  /** Tells the bridge that everything up to the cursor was worked on. Waits for the connection if need be. */
  async ack(topic: string, cursor: string): Promise<void> {
    await this.#commands.request({ type: 'ack', topic, cursor });
  }

  /** Submits a document. Without a network it is sent when the network is back; the request id makes that safe. */
  async submit(document: Blob, options: SubmitOptions = {}): Promise<JobAndCursor> {
    const named = { ...options, requestId: options.requestId ?? newRequestId() };
    const send = async () => (await import('./upload.ts')).submit(this.#http, document, named);
    return this.#keep(await this.#persist(send, options.signal));
  }

  async get(jobId: string, signal?: AbortSignal): Promise<JobAndCursor> {
    return this.#keep(await (await load()).get(this.#http, jobId, signal));
  }

  /** Cancels a job; given without a network, when the network is back. */
  async cancel(jobId: string): Promise<JobAndCursor> {
    return this.#keep(await this.#persist(async () => (await load()).act(this.#http, jobId, 'cancel')));
  }

  /**
   * Queues a failed or cancelled job again, with the password of a document that needs one; given without a network, when
   * the network is back.
   */
  async retry(jobId: string, options: { readonly password?: string } = {}): Promise<JobAndCursor> {
    const body = options.password === undefined ? undefined : { password: options.password };
    return this.#keep(await this.#persist(async () => (await load()).act(this.#http, jobId, 'retry', body)));
  }

  /** Removes a finished job with its document and results; given without a network, when the network is back. */
  async delete(jobId: string): Promise<void> {
    await this.#persist(async () => (await load()).remove(this.#http, jobId));
    this.jobs.remove(jobId);
  }

  async list(options: ListOptions = {}): Promise<JobList> {
    const list = await (await load()).list(this.#http, options);
    for (const job of list.jobs) this.jobs.put(job);
    return list;
  }

  async resultText(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<string> {
    return (await (await load()).result(this.#http, jobId, format, signal)).text();
  }

  async resultFile(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<ResultFile> {
    return (await load()).resultFile(this.#http, jobId, format, signal);
  }

  /** The document as it was submitted, by whomever. */
  async document(jobId: string, signal?: AbortSignal): Promise<Blob> {
    return (await load()).document(this.#http, jobId, signal);
  }

  /** A part of it: from the first byte, counted from 0, up to but not with the second. */
  async documentPart(
    jobId: string,
    range: readonly [begin: number, end: number],
    signal?: AbortSignal,
  ): Promise<DocumentPart> {
    return (await load()).documentPart(this.#http, jobId, range, signal);
  }

  /** Any other call of the bridge's HTTP side, for example `request('GET', 'v1/batches/b-1')`. The answer is unchecked. */
  async request(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<unknown> {
    return (await load()).request(this.#http, method, path, body);
  }

  /** Sends any other command, now or when connected, and gives the bridge's answer. */
  async command(type: string, fields: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.#commands.request({ ...fields, type });
  }

  /** The newest push of a topic that is a state, not jobs: `queue`, `admin`, `notifications`. Reading it: `service.ts`. */
  pushed(type: StateMessage['type']): StateMessage | null {
    return this.#pushed.get(type) ?? null;
  }

  /** Marks notices as read on every device, all when none are named; given without a network, when the network is back. */
  async markRead(ids: readonly string[] = []): Promise<void> {
    await this.#persist(() => this.request('POST', 'v1/notifications:read', { ids }));
  }

  /** Is told of every message that is `pushed`. */
  onPushed(listener: StateListener): () => void {
    this.#pushedListeners.add(listener);
    return () => this.#pushedListeners.delete(listener);
  }

  /** Hears events of one type. */
  on<T extends JobEvent['type']>(type: T, listener: (event: EventOf<T>) => void): () => void {
    return this.onEvent((event) => {
      if (event.type === type) listener(event as EventOf<T>);
    });
  }

  /** Every event of a topic, in order: `for await (const event of client.events('mine'))`. */
  async *events(topic: string, options: FollowOptions = {}): AsyncGenerator<JobEvent, void> {
    yield* (await import('./iterate.ts')).stream(this, topic, options);
  }

  /** A job each time it changed, the newest view only, until it is finished. */
  async *follow(jobId: string, options: FollowOptions = {}): AsyncGenerator<JobView, void> {
    yield* (await import('./iterate.ts')).follow(this, jobId, options);
  }

  /** The job once it is finished, however it ended. */
  async finished(jobId: string, options: { readonly signal?: AbortSignal } = {}): Promise<Job> {
    for await (const { job } of this.follow(jobId, options)) if (isFinished(job)) return job;
    throw new CourantError('ABORTED', 'stopped');
  }

  /** Does it now, or again once connected when there was no network. Gives up when the client is closed or not connecting. */
  async #persist<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      try {
        if (this.#away) await this.#connected(signal);
        return await work();
      } catch (error) {
        const isNetwork =
          error instanceof CourantError ? error.code === 'NETWORK' : error instanceof TypeError;
        const onTheWay = this.#away || this.connection.status === 'connecting';
        if (!isNetwork || !onTheWay) throw error;
        await this.#connected(signal);
      }
    }
  }

  /** On the way to a connection that was there or is being made. */
  get #away(): boolean {
    const { status } = this.connection;
    return status === 'offline' || status === 'reconnecting';
  }

  #connected(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (error?: CourantError) => {
        unlisten();
        signal?.removeEventListener('abort', abort);
        if (error) reject(error);
        else resolve();
      };
      const abort = () => stop(new CourantError('ABORTED', 'stopped'));
      const look = () => {
        const { status } = this.connection;
        if (status === 'connected') stop();
        if (status === 'failed' || status === 'disconnected') {
          stop(new CourantError('CONNECTION_LOST', 'the connection was lost', { retryable: true }));
        }
      };
      // Connecting anew ends the old connection first: only what lasts counts.
      const unlisten = this.onConnection(() => queueMicrotask(look));
      signal?.addEventListener('abort', abort);
    });
  }

  #keep(answer: JobAndCursor): JobAndCursor {
    this.jobs.put(answer.job);
    return answer;
  }

  #stateChanged(state: ConnectionState): void {
    if (state.status !== 'connected') {
      this.#subscriptions.lost();
      this.#commands.lost();
    }
    for (const listener of this.#stateListeners) listener();
  }

  #topicChanged(): void {
    const { anyStalled } = this.#subscriptions;
    const { connection } = this;
    if (connection.status === 'connected' && connection.stalled !== anyStalled) {
      this.#connection.setStalled(anyStalled);
    }
    this.jobs.touch();
  }

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'subscribed':
        this.#subscriptions.subscribed(message);
        this.#commands.reply(message);
        return;
      case 'connected':
      case 'auth-error':
      case 'ok':
      case 'pong':
      case 'error':
        this.#commands.reply(message);
        return;
      case 'draining':
      case 'closing':
      case 'auth-expiring':
        return;
      default:
        this.#subscriptions.receive(message);
    }
  }

  #take(message: TopicMessage): void {
    switch (message.type) {
      case 'snapshot':
        this.jobs.snapshot(message.topic, message.job);
        return;
      case 'live':
        this.jobs.live(message.topic);
        return;
      case 'unsubscribed':
        if (message.code === 'JOB_NOT_FOUND') this.jobs.remove(message.topic.replace(/^job\//, ''));
        return;
      case 'bookmark':
      case 'gap':
      case 'stalled':
        return;
      case 'queue-status':
      case 'system-metrics':
      case 'workers':
      case 'connections':
      case 'audit':
      case 'notification':
        this.#pushed.set(message.type, message);
        for (const listener of this.#pushedListeners) listener(message);
        return;
      default:
        this.jobs.apply(message);
        for (const listener of this.#eventListeners) listener(message);
    }
  }
}
