/** How fast messages may be sent: a token bucket like the bridge's own, kept a little smaller so that jitter does not overflow that one. */
import type { Limits } from './messages.ts';

const share = 0.8;
/** Closes for too many messages slow the client down; more than this many do not slow it further. */
const mostHalvings = 3;

export class Pace {
  /** Closes for too many messages in a row (4429). Each halves the pace of the connections after it. */
  floods = 0;
  #perMs = 1;
  #burst = 1;
  #room = 1;
  #at = 0;

  /** A connection begins. Its `auth` has been sent. */
  start({ messagesPerSecond, messageBurst }: Limits): void {
    const part = share / 2 ** Math.min(this.floods, mostHalvings);
    this.#perMs = Math.max(1, part * messagesPerSecond) / 1000;
    this.#burst = Math.max(1, part * (messageBurst ?? messagesPerSecond));
    this.#room = this.#burst - 1;
    this.#at = performance.now();
  }

  /** A message is sent, also one that does not wait its turn. */
  spend(): void {
    this.#fill();
    this.#room -= 1;
  }

  /** Nothing that can wait is sent for so long. */
  pause(ms: number): void {
    this.#fill();
    this.#room = Math.min(this.#room, 1 - ms * this.#perMs);
  }

  /** Milliseconds until the next message may be sent. */
  get waitMs(): number {
    this.#fill();
    return Math.max(0, Math.ceil((1 - this.#room) / this.#perMs));
  }

  #fill(): void {
    const now = performance.now();
    this.#room = Math.min(this.#burst, this.#room + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
  }
}
