/** How fast messages may be sent: a token bucket like the bridge's own, kept a little smaller so that jitter does not overflow that one. */
import type { Limits } from './messages.ts';

const share = 0.8;
/** Closes for too many messages slow the client down; more than this many do not slow it further. */
const mostHalvings = 3;

export class RateLimiter {
  /** Closes for too many messages in a row (4429). Each halves the rate of the connections after it. */
  rateLimitCloses = 0;
  #perMs = 1;
  #burst = 1;
  #tokens = 1;
  #at = 0;

  /** A connection begins. Its `auth` has been sent. */
  start({ messagesPerSecond, messageBurst }: Limits): void {
    const part = share / 2 ** Math.min(this.rateLimitCloses, mostHalvings);
    this.#perMs = Math.max(1, part * messagesPerSecond) / 1000;
    this.#burst = Math.max(1, part * (messageBurst ?? messagesPerSecond));
    this.#tokens = this.#burst - 1;
    this.#at = performance.now();
  }

  /** A message is sent, also one that does not wait its turn. */
  take(): void {
    this.#fill();
    this.#tokens -= 1;
  }

  /** Nothing that can wait is sent for so long. */
  pause(ms: number): void {
    this.#fill();
    this.#tokens = Math.min(this.#tokens, 1 - ms * this.#perMs);
  }

  /** Milliseconds until the next message may be sent. */
  get waitMs(): number {
    this.#fill();
    return Math.max(0, Math.ceil((1 - this.#tokens) / this.#perMs));
  }

  #fill(): void {
    const now = performance.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
  }
}
