/**
 * The topics one watches: subscribes, remembers where each one is, resumes there after a loss and drops what comes twice.
 * Holders are counted: the first subscribes, the last one leaving unsubscribes (a second later, since pages come and go).
 * What is wanted is kept as a state: what is asked together, or while messages have to wait, goes in one message.
 */
import { type Commands, refusal } from './commands.ts';
import { DelayQueue } from './delay-queue.ts';
import type { CourantError } from './errors.ts';
import type { Limits, Message, Subscribed, TopicMessage } from './messages.ts';

/** Where a topic stands. */
export type TopicState =
  /** For the connection, or for the answer to `subscribe`. */
  | { readonly phase: 'waiting' }
  /** Snapshots or missed messages are coming. */
  | { readonly phase: 'loading' }
  | { readonly phase: 'live' }
  /** The bridge has lost its source; messages are late, not lost. */
  | { readonly phase: 'stalled' }
  /** Refused or ended by the bridge; or the limit is reached (`SUBSCRIPTION_LIMIT`): it begins when another topic is left. */
  | { readonly phase: 'ended'; readonly code: string; readonly message: string };

export interface WatchOptions {
  /** Continue after this cursor instead of beginning with snapshots. Counts only for the first holder of a topic. */
  readonly after?: string | undefined;
  /** At most one transient message per job in this time. The shortest of all holders counts. Default 1000. */
  readonly minIntervalMs?: number | undefined;
}

export interface SubscriptionHandlers {
  readonly isReady: () => boolean;
  readonly onState: (topic: string, state: TopicState) => void;
  /** The cursor a topic had before the page was reloaded; `null` when it begins with snapshots. */
  readonly recall: (topic: string) => string | null;
  /** What was known of the topic cannot be continued from; snapshots and `live` follow. */
  readonly onRestart: (topic: string, reason: string | null) => void;
  readonly onMessage: (message: TopicMessage) => void;
}

interface Entry {
  readonly topic: string;
  readonly holders: Map<symbol, number>;
  /** The newest durable revision seen of each job, to drop doubles. */
  readonly revisions: Map<string, number>;
  cursor: string | null;
  minIntervalMs: number;
  state: TopicState;
  /** The `subscribe` that waits for its answer; 0: none. Answers to older ones do not count. */
  asked: number;
  /** Refusals in a row that may pass. */
  refusals: number;
}

const lingerMs = 1_000;
const retryMs = 2_000;
const longestRetryMs = 30_000;
const defaultIntervalMs = 1_000;
const waiting: TopicState = { phase: 'waiting' };
/** Of `topics` to `unsubscribe` in one message: 1,000 bytes each are far more than a topic can have. */
const bytesPerTopic = 1_000;
/** What a message has beside its topics, generously. */
const envelopeBytes = 100;
const full = 'SUBSCRIPTION_LIMIT';

/** The limit was reached before it was asked for. */
const isFull = ({ state }: Entry): boolean => state.phase === 'ended' && state.code === full;

export class Subscriptions {
  readonly #commands: Commands;
  readonly #handlers: SubscriptionHandlers;
  readonly #entries = new Map<string, Entry>();
  /** Those that count for the bridge as subscriptions of this connection. */
  readonly #held = new Set<Entry>();
  /** To be subscribed. */
  readonly #wanted = new Set<Entry>();
  /** To be unsubscribed. */
  readonly #left = new Set<string>();
  /** `unsubscribe` commands that wait for their answer. */
  readonly #leaving = new Map<number, readonly string[]>();
  readonly #lingering = new DelayQueue<Entry>((entries) => this.#drop(entries));
  readonly #again = new DelayQueue<Entry>((entries) => this.#want(entries));
  #limits: Limits | null = null;
  #isPlanned = false;

  constructor(commands: Commands, handlers: SubscriptionHandlers) {
    this.#commands = commands;
    this.#handlers = handlers;
  }

  /** Watches a topic until the returned function is called. */
  watch(topic: string, options: WatchOptions): () => void {
    const interval = options.minIntervalMs ?? defaultIntervalMs;
    const entry = this.#entries.get(topic) ?? this.#create(topic, options.after ?? null, interval);
    this.#lingering.delete(entry);
    const holder = Symbol(topic);
    entry.holders.set(holder, interval);
    const shorter = interval < entry.minIntervalMs;
    if (shorter) entry.minIntervalMs = interval;
    if (shorter || !(this.#held.has(entry) || this.#again.has(entry))) this.#want([entry]);
    return () => {
      if (entry.holders.delete(holder) && entry.holders.size === 0) this.#lingering.set(entry, lingerMs);
    };
  }

  state(topic: string): TopicState {
    return this.#entries.get(topic)?.state ?? waiting;
  }

  get anyStalled(): boolean {
    return [...this.#entries.values()].some((entry) => entry.state.phase === 'stalled');
  }

  ready(limits: Limits): void {
    this.#drop(this.#lingering.all());
    this.#limits = limits;
    this.#want([...this.#entries.values()]);
  }

  lost(): void {
    this.#limits = null;
    this.#held.clear();
    this.#wanted.clear();
    this.#left.clear();
    this.#leaving.clear();
    this.#again.clear();
    for (const entry of this.#entries.values()) {
      entry.asked = 0;
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
        this.#end(entry, message.code, 'the server ended the subscription');
        this.#fill();
        break;
      default:
        break;
    }
    this.#handlers.onMessage(message);
  }

  /** The answer to a topic of a `subscribe`. Must be called before the pushes that came after it. */
  subscribed(reply: Subscribed): void {
    const entry = this.#entries.get(reply.topic);
    if (entry === undefined) return;
    if (reply.id === entry.asked) entry.asked = 0;
    entry.refusals = 0;
    if (reply.mode === 'snapshot') this.#restart(entry, reply.reason);
    else this.#set(entry, { phase: 'loading' });
    if (reply.cursor !== null) entry.cursor = reply.cursor;
  }

  /** The answer to any command; those to `subscribe` and `unsubscribe` are dealt with. */
  replied(reply: Message<'ok' | 'error'>): void {
    if (reply.id === null) return;
    const left = this.#leaving.get(reply.id) ?? [];
    this.#leaving.delete(reply.id);
    if (reply.type !== 'error') return;
    // Not done, and asked again; but what is watched again meanwhile stays.
    for (const topic of reply.code === 'RATE_LIMITED' ? left : []) {
      if (!this.#entries.has(topic)) this.#left.add(topic);
    }
    const error = refusal(reply);
    for (const entry of this.#entries.values()) {
      const isMeant = reply.topic === null || reply.topic === entry.topic;
      if (entry.asked === reply.id && isMeant) this.#refused(entry, error);
    }
    this.#plan();
  }

  #create(topic: string, cursor: string | null, minIntervalMs: number): Entry {
    const entry: Entry = {
      topic,
      holders: new Map(),
      revisions: new Map(),
      cursor,
      minIntervalMs,
      state: waiting,
      asked: 0,
      refusals: 0,
    };
    this.#entries.set(topic, entry);
    return entry;
  }

  #want(entries: readonly Entry[]): void {
    for (const entry of entries) this.#wanted.add(entry);
    this.#plan();
  }

  #drop(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#lingering.delete(entry);
      this.#entries.delete(entry.topic);
      this.#wanted.delete(entry);
      this.#again.delete(entry);
      if (this.#held.delete(entry)) this.#left.add(entry.topic);
    }
    this.#fill();
  }

  /** Topics that were over the limit may fit now. */
  #fill(): void {
    if (this.#limits === null || this.#held.size >= this.#limits.maxSubscriptions) {
      this.#plan();
      return;
    }
    this.#want([...this.#entries.values()].filter(isFull));
  }

  /** Sends what is to be sent, when all that is asked now has been. */
  #plan(): void {
    if (this.#isPlanned || this.#wanted.size + this.#left.size === 0 || !this.#handlers.isReady()) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      this.#commands.turn(() => this.#next());
    });
  }

  #next(): object | null {
    if (this.#limits === null) return null;
    const message = this.#unsubscribe(this.#limits) ?? this.#subscribe(this.#limits);
    this.#plan();
    return message;
  }

  #unsubscribe({ maxMessageBytes, messageBurst, maxSubscriptions }: Limits): object | null {
    // Those that linger have no holder: they are left first.
    const more = [...this.#wanted].filter((entry) => !this.#held.has(entry)).length;
    const over = this.#held.size + more - maxSubscriptions;
    if (over > 0) this.#drop(this.#lingering.all().slice(0, over));
    const most = messageBurst === null ? 1 : Math.floor(maxMessageBytes / bytesPerTopic);
    const topics = [...this.#left].slice(0, most);
    const [topic] = topics;
    if (topic === undefined) return null;
    for (const each of topics) this.#left.delete(each);
    const id = this.#commands.newId();
    this.#leaving.set(id, topics);
    return { id, type: 'unsubscribe', ...(topics.length > 1 ? { topics } : { topic }) };
  }

  #subscribe(limits: Limits): object | null {
    const id = this.#commands.newId();
    const topics: object[] = [];
    let bytes = envelopeBytes;
    for (const entry of this.#wanted) {
      if (this.#mayAsk(entry, limits)) {
        const topic = this.#topicOf(entry);
        bytes += new TextEncoder().encode(JSON.stringify(topic)).length + 1;
        const isMore = limits.messageBurst === null || bytes > limits.maxMessageBytes;
        if (isMore && topics.length > 0) break;
        topics.push(topic);
        this.#held.add(entry);
        entry.asked = id;
        if (isFull(entry)) this.#set(entry, waiting);
        this.#again.delete(entry);
      }
      this.#wanted.delete(entry);
    }
    if (topics.length === 0) return null;
    return { id, type: 'subscribe', ...(topics.length > 1 ? { topics } : topics[0]) };
  }

  /** Whether it is still wanted and within the limit; it ends when it is not. */
  #mayAsk(entry: Entry, { maxSubscriptions }: Limits): boolean {
    if (this.#held.has(entry)) return true;
    if (entry.holders.size === 0) return false;
    if (this.#held.size < maxSubscriptions) return true;
    const message = `this connection follows ${maxSubscriptions} topics, as many as the server allows; leave some, or follow many jobs as "mine"`;
    this.#end(entry, full, message);
    return false;
  }

  #topicOf(entry: Entry): object {
    const { topic, minIntervalMs } = entry;
    entry.cursor ??= this.#handlers.recall(topic);
    const { cursor } = entry;
    return { topic, minIntervalMs, ...(cursor === null ? {} : { after: cursor }) };
  }

  #restart(entry: Entry, reason: string | null): void {
    entry.cursor = null;
    entry.revisions.clear();
    this.#set(entry, { phase: 'loading' });
    this.#handlers.onRestart(entry.topic, reason);
  }

  #refused(entry: Entry, error: CourantError): void {
    entry.asked = 0;
    if (error.code === 'RATE_LIMITED') {
      // `commands` sends it no sooner than the bridge allows.
      this.#wanted.add(entry);
    } else if (error.code === 'CURSOR_INVALID' && entry.cursor !== null) {
      // Also where it is kept: it would be taken from there again.
      this.#restart(entry, null);
      this.#wanted.add(entry);
    } else if (error.retryable || error.code === 'TOO_MANY') {
      const wait = Math.min(longestRetryMs, retryMs * 2 ** entry.refusals);
      entry.refusals += 1;
      this.#again.set(entry, error.retryAfterMs ?? wait);
    } else {
      this.#end(entry, error.code, error.message);
      this.#fill();
    }
  }

  #end(entry: Entry, code: string, message: string): void {
    this.#held.delete(entry);
    this.#set(entry, { phase: 'ended', code, message });
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
