/** The client: one connection, the topics watched over it, and the jobs known through it. Its HTTP calls are in `requests.ts`. */
import { Commands } from './commands.ts';
import { Connection } from './connection.ts';
import { Cursors } from './cursors.ts';
import { CourantError } from './errors.ts';
import { Http } from './http.ts';
import type { JobView } from './job-view.ts';
import type { JobEvent, ServerMessage, StateMessage, TopicMessage } from './messages.ts';
import type { ClientOptions, EventOf, FollowOptions } from './options.ts';
import { load, Requests } from './requests.ts';
import type { ConnectionState } from './state.ts';
import { JobStore } from './store.ts';
import { Subscriptions, type TopicState, type WatchOptions } from './subscriptions.ts';
import { jobIdOf, topicKind } from './topics.ts';
import { transports } from './transport.ts';
import { isFinished, type Job } from './types.ts';

type EventListener = (event: JobEvent) => void;
type StateListener = (message: StateMessage) => void;

export class CourantClient extends Requests {
  readonly #connection: Connection;
  readonly #commands: Commands;
  readonly #subscriptions: Subscriptions;
  readonly #stateListeners = new Set<() => void>();
  readonly #eventListeners = new Set<EventListener>();
  readonly #pushedListeners = new Set<StateListener>();
  readonly #pushed = new Map<StateMessage['type'], StateMessage>();
  protected override readonly cursors: Cursors;

  constructor(options: ClientOptions) {
    const base = options.url ?? globalThis.location?.origin;
    if (!base) throw new CourantError('BAD_ADDRESS', 'give the address of the bridge as `url`');
    const fetch: typeof globalThis.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    super(
      new Http({ base, token: options.token, fetch, resumableFrom: options.resumableFrom ?? 4 << 20 }),
      new JobStore(options.schedule),
    );
    this.#connection = new Connection(
      {
        transports: transports({
          names: options.transports ?? ['websocket', 'sse', 'polling'],
          base,
          url: (path) => this.http.url(path),
          // Node before 22 has none; event streams do there.
          socket: options.WebSocket ?? globalThis.WebSocket,
          format: options.format ?? 'auto',
          fetch,
        }),
        token: options.token,
        // Without the module this is a device without a name.
        device: async () =>
          options.device === undefined
            ? (await import('./browser-device.ts').catch(() => null))?.browserDevice()
            : (options.device ?? undefined),
        random: options.random ?? Math.random,
        backoffFirstMs: options.backoffFirstMs ?? 1_000,
        backoffMaxMs: options.backoffMaxMs ?? 30_000,
        connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      },
      {
        onState: (state) => this.#stateChanged(state),
        onReady: (limits) => {
          this.#commands.ready();
          this.#subscriptions.ready(limits);
          // At hand should the network go: a module cannot be loaded then.
          void load().catch(() => undefined);
        },
        onMessage: (message) => this.#receive(message),
        onBroken: (reason) => options.onBroken?.(reason),
      },
    );
    this.cursors = new Cursors(options.storage, () => {
      const { connection } = this;
      return connection.status === 'connected' ? `${base} ${connection.user}` : null;
    });
    this.#commands = new Commands((message) => this.#connection.send(message), this.#connection.rateLimiter);
    this.#subscriptions = new Subscriptions(this.#commands, {
      isReady: () => this.#connection.state.status === 'connected',
      onState: () => this.#topicChanged(),
      recall: (topic) => this.cursors.recall(topic),
      onRestart: (topic, reason) => {
        this.cursors.forget(topic);
        this.jobs.restart(topic, reason);
      },
      onMessage: (message) => {
        this.#take(message);
        // The cursor of a state names what this page has received, and the next page has received nothing.
        if (topicKind(message.topic) === 'state') return;
        if ('cursor' in message && message.cursor !== null) this.cursors.keep(message.topic, message.cursor);
      },
    });
  }

  override get connection(): ConnectionState {
    return this.#connection.state;
  }

  /** Calls the listener whenever `connection` changes. */
  override onConnection(listener: () => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  /**
   * Calls the listener with every event of the watched topics; with one that belongs to two topics once for each. Transient
   * ones (`JobUpdate`) carry what changes without an event: the whole job is `jobs.get(event.jobId)`.
   */
  onEvent(listener: EventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  connect(): void {
    this.#connection.connect();
  }

  /** Reconnects without waiting, also after `failed`. */
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

  /**
   * Watches `mine`, `job/ID`, `document/ID` or `batch/ID` until the returned function is called. A connection has at most
   * `maxSubscriptions` topics (128 unless the operator chose otherwise): those over that are `ended` with
   * `SUBSCRIPTION_LIMIT`, and begin by themselves when others are left. To follow many jobs, watch `mine` or a batch.
   */
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

  /** Sends any other command, now or when connected, no faster than the bridge allows; resolves when it is answered. */
  async command(type: string, fields: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.#commands.request({ ...fields, type });
  }

  /** The newest push of a topic that is a state, not jobs: `queue`, `devices`, `admin`, `notifications`. Reading it: `service.ts`. */
  pushed(type: StateMessage['type']): StateMessage | null {
    return this.#pushed.get(type) ?? null;
  }

  /** Calls the listener with every message that is `pushed`. */
  onPushed(listener: StateListener): () => void {
    this.#pushedListeners.add(listener);
    return () => this.#pushedListeners.delete(listener);
  }

  /** Calls the listener with events of one type. */
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
        if (message.mode === 'resumed') this.#complete(jobIdOf(message.topic));
        return;
      case 'ok':
      case 'error':
        this.#commands.reply(message);
        this.#subscriptions.replied(message);
        return;
      case 'connected':
      case 'auth-error':
      case 'pong':
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

  /** A topic that goes on where an earlier page was brings changes only, and its job may not be known yet. */
  #complete(jobId: string | null): void {
    if (jobId !== null && !this.jobs.get(jobId)) void this.get(jobId).catch(() => undefined);
  }

  #take(message: TopicMessage): void {
    if ('body' in message) {
      this.#pushed.set(message.type, message);
      for (const listener of this.#pushedListeners) listener(message);
      return;
    }
    switch (message.type) {
      case 'snapshot':
        this.jobs.snapshot(message.topic, message.job);
        return;
      case 'live':
        this.jobs.live(message.topic);
        return;
      case 'unsubscribed':
        if (message.code === 'JOB_NOT_FOUND') this.jobs.remove(jobIdOf(message.topic) ?? '');
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
