/** Which transport is in use: the next one where a network blocks one, and the best again when it works. */
import { online } from './network.ts';
import type { Cause } from './state.ts';
import type { Transport } from './transport.ts';

/** After so many losses in a row that look like a network that blocks this transport, the next one is tried. */
const failuresToFallBack = 2;

export class TransportFallback {
  readonly #transports: readonly Transport[];
  #level = 0;
  #failures = 0;
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
  useBest(): void {
    this.#take(0, null);
  }

  /**
   * Counts a loss that the bridge did not announce and that looks like a network that blocks this transport: it never came
   * to `connected`, or stays open and silent. When plain HTTP does not work either, nothing works: the best one is tried again.
   */
  onLoss(cause: Cause, wasStable: boolean): void {
    if (!online()) return;
    if (this.#level > 0 && cause.reason === 'NETWORK') {
      this.useBest();
      return;
    }
    if (wasStable && cause.reason !== 'SILENT') {
      this.#failures = 0;
      return;
    }
    this.#failures += 1;
    const level = (this.#level + 1) % this.#transports.length;
    if (this.#failures >= failuresToFallBack) this.#take(level, level > 0 ? cause : null);
  }

  #take(level: number, fallback: Cause | null): void {
    this.#level = level;
    this.#failures = 0;
    this.#fallback = fallback;
  }
}
