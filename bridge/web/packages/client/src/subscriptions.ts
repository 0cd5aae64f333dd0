/**
 * The topics one watches: subscribes, remembers where each one is, resumes there after a loss and drops what comes twice.
 * Holders are counted: the first subscribes, the last one leaving unsubscribes (a second later, since pages come and go).
 */
import type { Commands } from './commands.ts';
import { CourantError } from './errors.ts';
import type { Subscribed, TopicMessage } from './messages.ts';
import { Timer } from './timer.ts';

/** Where a topic stands. */
export type TopicState =
  /** For the connection, or for the answer to `subscribe`. */
  | { readonly phase: 'waiting' }
  /** Snapshots or missed messages are coming. */
  | { readonly phase: 'loading' }
  | { readonly phase: 'live' }
  /** The bridge has lost its source; messages are late, not lost. */
  | { readonly phase: 'stalled' }
  /** Refused or ended by the bridge. */
  | { readonly phase: 'ended'; readonly code: string; readonly message: string };

export interface WatchOptions {
  /** Continue after this cursor instead of beginning with snapshots. Counts only for the first holder of a topic. */
  readonly after?: string | undefined;
  /** At most one transient message per job in this time. The shortest wish of all holders counts. Default 1000. */
  readonly minIntervalMs?: number | undefined;
}

export interface SubscriptionHandlers {
  readonly isReady: () => boolean;
  readonly onState: (topic: string, state: TopicState) => void;
  /** The cursor a topic had before the page was loaded anew; `null` when it begins with snapshots. */
  readonly recall: (topic: string) => string | null;
  /** What was known of the topic cannot be continued from; snapshots and `live` follow. */
  readonly onRestart: (topic: string, reason: string | null) => void;
  readonly onMessage: (message: TopicMessage) => void;
}

interface Entry {
  readonly topic: string;
  readonly holders: Map<symbol, number>;
  readonly leave: Timer;
  readonly again: Timer;
  /** The newest durable revision seen of each job, to drop doubles. */
  readonly revisions: Map<string, number>;
  cursor: string | null;
  minIntervalMs: number;
  state: TopicState;
  /** Which `subscribe` counts: replies to older ones are not heard. */
  run: number;
}

const lingerMs = 1_000;
const retryMs = 2_000;
const defaultIntervalMs = 1_000;
const waiting: TopicState = { phase: 'waiting' };

export class Subscriptions {
  readonly #commands: Commands;
  readonly #handlers: SubscriptionHandlers;
  readonly #entries = new Map<string, Entry>();

  constructor(commands: Commands, handlers: SubscriptionHandlers) {
    this.#commands = commands;
    this.#handlers = handlers;
  }

  /** Watches a topic until the returned function is called. */
  watch(topic: string, options: WatchOptions): () => void {
    const interval = options.minIntervalMs ?? defaultIntervalMs;
    const known = this.#entries.get(topic);
    const entry = known ?? this.#create(topic, options.after ?? null, interval);
    entry.leave.clear();
    const holder = Symbol(topic);
    entry.holders.set(holder, interval);
    const shorter = interval < entry.minIntervalMs;
    if (shorter) entry.minIntervalMs = interval;
    if (known === undefined || shorter || entry.state.phase === 'ended') this.#subscribe(entry);
    return () => this.#release(entry, holder);
  }

  state(topic: string): TopicState {
    return this.#entries.get(topic)?.state ?? waiting;
  }

  get anyStalled(): boolean {
    return [...this.#entries.values()].some((entry) => entry.state.phase === 'stalled');
  }

  ready(): void {
    for (const entry of this.#entries.values()) this.#subscribe(entry);
  }

  lost(): void {
    for (const entry of this.#entries.values()) {
      entry.run += 1;
      entry.again.clear();
      if (entry.state.phase !== 'ended') this.#set(entry, waiting);
    }
  }

  /** Takes a push: moves the cursor, drops doubles, and hands on the rest. */
  receive(message: TopicMessage): void {
    const entry = this.#entries.get(message.topic);
    if (entry === undefined || this.#isDouble(entry, message)) return;
    if ('cursor' in message && message.cursor !== null) entry.cursor = message.cursor;
    switch (message.type) {
      case 'live':
        this.#set(entry, { phase: 'live' });
        break;
      case 'stalled':
        this.#set(entry, { phase: 'stalled' });
        return;
      case 'gap':
        this.#restart(entry, message.reason);
        return;
      case 'unsubscribed':
        this.#set(entry, {
          phase: 'ended',
          code: message.code,
          message: 'the server ended the subscription',
        });
        break;
      default:
        break;
    }
    this.#handlers.onMessage(message);
  }

  #create(topic: string, cursor: string | null, minIntervalMs: number): Entry {
    const entry: Entry = {
      topic,
      holders: new Map(),
      leave: new Timer(),
      again: new Timer(),
      revisions: new Map(),
      cursor,
      minIntervalMs,
      state: waiting,
      run: 0,
    };
    this.#entries.set(topic, entry);
    return entry;
  }

  #release(entry: Entry, holder: symbol): void {
    if (!entry.holders.delete(holder) || entry.holders.size > 0) return;
    entry.leave.set(lingerMs, () => {
      this.#entries.delete(entry.topic);
      entry.again.clear();
      entry.run += 1;
      if (!this.#handlers.isReady()) return;
      // Nothing hangs on the reply: after a loss the topic is simply not subscribed again.
      this.#commands.request({ type: 'unsubscribe', topic: entry.topic }, 'reject').catch(() => undefined);
    });
  }

  #subscribe(entry: Entry): void {
    if (!this.#handlers.isReady()) return;
    const run = ++entry.run;
    entry.again.clear();
    const { topic, minIntervalMs } = entry;
    entry.cursor ??= this.#handlers.recall(topic);
    const { cursor } = entry;
    const command = {
      type: 'subscribe',
      topic,
      minIntervalMs,
      ...(cursor === null ? {} : { after: cursor }),
    };
    this.#commands.request(command, 'reject').then(
      // `subscribed` is dealt with in `subscribed()`, in order with the pushes after it.
      () => undefined,
      (error: unknown) => {
        if (run === entry.run && error instanceof CourantError) this.#refused(entry, error);
      },
    );
  }

  /** The answer to `subscribe`. Must be called before the pushes that came after it. */
  subscribed(reply: Subscribed): void {
    const entry = this.#entries.get(reply.topic);
    if (entry === undefined) return;
    if (reply.mode === 'snapshot') this.#restart(entry, reply.reason);
    else this.#set(entry, { phase: 'loading' });
    if (reply.cursor !== null) entry.cursor = reply.cursor;
  }

  #restart(entry: Entry, reason: string | null): void {
    entry.cursor = null;
    entry.revisions.clear();
    this.#set(entry, { phase: 'loading' });
    this.#handlers.onRestart(entry.topic, reason);
  }

  #refused(entry: Entry, error: CourantError): void {
    if (error.code === 'CONNECTION_LOST') return;
    if (error.code === 'CURSOR_INVALID' && entry.cursor !== null) {
      entry.cursor = null;
      this.#subscribe(entry);
    } else if (error.retryable || error.code === 'TOO_MANY') {
      entry.again.set(error.retryAfterMs ?? retryMs, () => this.#subscribe(entry));
    } else {
      this.#set(entry, { phase: 'ended', code: error.code, message: error.message });
    }
  }

  #isDouble(entry: Entry, message: TopicMessage): boolean {
    if (!('job' in message)) return false;
    const { jobId, revision } = message.job;
    if (message.type === 'snapshot') {
      entry.revisions.set(jobId, revision);
      return false;
    }
    if (message.cursor === null) return false;
    if (revision <= (entry.revisions.get(jobId) ?? -1)) return true;
    entry.revisions.set(jobId, revision);
    return false;
  }

  #set(entry: Entry, state: TopicState): void {
    entry.state = state;
    this.#handlers.onState(entry.topic, state);
  }
}
