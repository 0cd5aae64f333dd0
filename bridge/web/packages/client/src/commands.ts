/**
 * Commands and their replies, matched by `id`. They are sent in order and as fast as the bridge allows; those given while
 * offline, or refused because they came too fast, wait here and are sent later.
 */
import { CourantError } from './errors.ts';
import type { Reply } from './messages.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { Timer } from './timer.ts';

/** A command without its `id`. */
export type Command = { readonly type: string; readonly [field: string]: unknown };

/** Makes a message when it is its turn; `null` when there is nothing to send any more. */
type Make = () => object | null;

interface Pending {
  readonly make: Make;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: CourantError) => void;
}

/** So many commands may wait; more are refused with `QUEUE_FULL`, so that a page left offline does not grow. */
export const maxWaiting = 1000;
/** How long to wait when the bridge refuses a command for its rate and does not say for how long. */
const limitedMs = 1000;

/** The failure in an `error` reply. */
export function refusal({ code, message, retryable, retryAfterMs }: Reply & { type: 'error' }): CourantError {
  return new CourantError(code, message, { retryable, ...(retryAfterMs === null ? {} : { retryAfterMs }) });
}

export class Commands {
  readonly #send: (message: object) => void;
  readonly #rateLimiter: RateLimiter;
  readonly #pending = new Map<number, Pending>();
  readonly #later = new Timer();
  #queue: Make[] = [];
  #isReady = false;
  #nextId = 1;

  constructor(send: (message: object) => void, rateLimiter: RateLimiter) {
    this.#send = send;
    this.#rateLimiter = rateLimiter;
  }

  newId(): number {
    return this.#nextId++;
  }

  /** Sends a command now, or when the connection is ready. Rejects with a `CourantError`. */
  request(command: Command): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= maxWaiting) {
        reject(
          new CourantError('QUEUE_FULL', 'too many commands wait for the connection', { retryable: true }),
        );
        return;
      }
      const id = this.newId();
      const make = () => (this.#pending.has(id) ? { id, ...command } : null);
      this.#pending.set(id, { make, resolve, reject });
      this.turn(make);
    });
  }

  /** Sends what is made when it is its turn. Forgotten when the connection is lost before. */
  turn(make: Make): void {
    if (!this.#isReady) return;
    this.#queue.push(make);
    this.#drain();
  }

  /** The connection is ready: sends what waited, oldest first. */
  ready(): void {
    this.#isReady = true;
    for (const { make } of this.#pending.values()) this.#queue.push(make);
    this.#drain();
  }

  /** The connection was lost. */
  lost(): void {
    this.#isReady = false;
    this.#later.clear();
    this.#queue = [];
  }

  /** The client is closed for good. */
  close(): void {
    for (const { reject } of this.#pending.values()) {
      reject(new CourantError('CONNECTION_LOST', 'the connection was lost', { retryable: true }));
    }
    this.#pending.clear();
  }

  reply(reply: Reply): void {
    const pending = reply.id === null ? undefined : this.#pending.get(reply.id);
    if (reply.type === 'error' && reply.code === 'RATE_LIMITED') {
      this.#rateLimiter.pause(reply.retryAfterMs || limitedMs);
      // It was not executed.
      if (pending) this.#queue.unshift(pending.make);
      this.#drain();
    } else if (pending && reply.id !== null) {
      this.#pending.delete(reply.id);
      if (reply.type === 'error') pending.reject(refusal(reply));
      else pending.resolve(reply);
    }
  }

  #drain(): void {
    for (;;) {
      const [make] = this.#queue;
      if (make === undefined) return;
      const { waitMs } = this.#rateLimiter;
      if (waitMs > 0) {
        this.#later.set(waitMs, () => this.#drain());
        return;
      }
      this.#queue.shift();
      const message = make();
      if (message) this.#send(message);
    }
  }
}
