/** Which transport is in use. Falls to the next where a network lets one not through, and comes back to the best. */
import { online } from './network.ts';
import type { Cause } from './state.ts';
import type { Transport } from './transport.ts';

/** So many losses in a row that look like a network that lets this transport not through: try the next. */
const strikesToFall = 2;

export class Ladder {
  readonly #transports: readonly Transport[];
  #level = 0;
  #strikes = 0;
  #fallback: Cause | null = null;

  /** Best first. */
  constructor(transports: readonly Transport[]) {
    this.#transports = transports;
  }

  get transport(): Transport {
    const found = this.#transports[this.#level];
    if (found === undefined) throw new RangeError('there must be a transport');
    return found;
  }

  /** Why it is not the best one. */
  get fallback(): Cause | null {
    return this.#fallback;
  }

  /** A better one than that in use. */
  get better(): Transport | null {
    return (this.#level > 0 && this.#transports[0]) || null;
  }

  /** Takes the best one. */
  climb(): void {
    this.#take(0, null);
  }

  /**
   * Whether a loss without a word of the bridge looks like a network that lets this transport not through: it never came
   * to `connected`, or lives and is mute. Plain HTTP that does not work either means that nothing works.
   */
  judge(cause: Cause, wasStable: boolean): void {
    if (!online()) return;
    if (this.#level > 0 && cause.reason === 'NETWORK') {
      this.climb();
      return;
    }
    if (wasStable && cause.reason !== 'SILENT') {
      this.#strikes = 0;
      return;
    }
    this.#strikes += 1;
    const level = (this.#level + 1) % this.#transports.length;
    if (this.#strikes >= strikesToFall) this.#take(level, level > 0 ? cause : null);
  }

  #take(level: number, fallback: Cause | null): void {
    this.#level = level;
    this.#strikes = 0;
    this.#fallback = fallback;
  }
}
