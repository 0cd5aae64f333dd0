/** The client: one connection, the topics watched over it, the jobs known through it, and the HTTP calls beside it. */
import { Commands } from './commands.ts';
import { Connection, type TokenProvider } from './connection.ts';
import { CourantError } from './errors.ts';
import { Http, type JobAndCursor, type JobList, type ListOptions, type ResultFile } from './http.ts';
import type { JobEvent, ServerMessage, TopicMessage } from './messages.ts';
import type { SocketConstructor } from './socket.ts';
import type { ConnectionState } from './state.ts';
import { JobStore, type Schedule } from './store.ts';
import { Subscriptions, type TopicState, type WatchOptions } from './subscriptions.ts';
import { type TransportName, transports } from './transport.ts';
import type { ResultFormat } from './types.ts';
import { type SubmitOptions, submit } from './upload.ts';

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

export class CourantClient {
  /** All jobs known so far. */
  readonly jobs: JobStore;
  readonly #connection: Connection;
  readonly #commands: Commands;
  readonly #subscriptions: Subscriptions;
  readonly #http: Http;
  readonly #stateListeners = new Set<() => void>();
  readonly #eventListeners = new Set<EventListener>();

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
        },
        onMessage: (message) => this.#receive(message),
        onBroken: (reason) => options.onBroken?.(reason),
      },
    );
    this.#commands = new Commands((command) => this.#connection.send(command));
    this.#subscriptions = new Subscriptions(this.#commands, {
      isReady: () => this.#connection.state.status === 'connected',
      onState: () => this.#topicChanged(),
      onRestart: (topic, reason) => this.jobs.restart(topic, reason),
      onMessage: (message) => this.#take(message),
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

  async submit(document: Blob, options: SubmitOptions = {}): Promise<JobAndCursor> {
    return this.#keep(await submit(this.#http, document, options));
  }

  async get(jobId: string, signal?: AbortSignal): Promise<JobAndCursor> {
    return this.#keep(await this.#http.get(jobId, signal));
  }

  async cancel(jobId: string): Promise<JobAndCursor> {
    return this.#keep(await this.#http.cancel(jobId));
  }

  async retry(jobId: string): Promise<JobAndCursor> {
    return this.#keep(await this.#http.retry(jobId));
  }

  async list(options: ListOptions = {}): Promise<JobList> {
    const list = await this.#http.list(options);
    for (const job of list.jobs) this.jobs.put(job);
    return list;
  }

  resultText(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<string> {
    return this.#http.resultText(jobId, format, signal);
  }

  resultFile(jobId: string, format: ResultFormat, signal?: AbortSignal): Promise<ResultFile> {
    return this.#http.resultFile(jobId, format, signal);
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
      default:
        this.jobs.apply(message);
        for (const listener of this.#eventListeners) listener(message);
    }
  }
}
