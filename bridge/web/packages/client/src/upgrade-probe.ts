/** The search for a better transport while a worse one is in use. */
import { closeSilently, type SocketLike } from './socket.ts';
import { Timer } from './timer.ts';
import type { Transport } from './transport.ts';

/** Before the first probe; doubles up to the longest with each. */
const firstProbeMs = 15_000;
const longestProbeMs = 5 * 60_000;
const probeTimeoutMs = 10_000;

/** Tries from time to time whether a better transport works: opens it, signs in, and asks for one answer after that. */
export class UpgradeProbe {
  readonly #timer = new Timer();
  #socket: SocketLike | null = null;
  #waitMs = firstProbeMs;

  /** Probes until `found` is called, or `stop`. */
  start(transport: Transport, auth: object, found: () => void): void {
    this.stop();
    this.#timer.set(this.#waitMs, () => {
      this.#waitMs = Math.min(2 * this.#waitMs, longestProbeMs);
      void this.#probe(transport, auth, found);
    });
  }

  /** The best transport is in use: the next search begins with a short wait again. */
  reset(): void {
    this.#waitMs = firstProbeMs;
  }

  stop(): void {
    this.#timer.clear();
    if (this.#socket !== null) closeSilently(this.#socket);
    this.#socket = null;
  }

  async #probe(transport: Transport, auth: object, found: () => void): Promise<void> {
    const next = (): void => this.start(transport, auth, found);
    this.#timer.set(probeTimeoutMs, next);
    const [socket, { decode }] = await Promise.all([transport.open(), import('./decode.ts')]);
    // Stopped in the meantime.
    if (!this.#timer.pending) {
      closeSilently(socket);
      return;
    }
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(auth));
    socket.onclose = next;
    socket.onmessage = ({ data }) => {
      const decoded = decode(data);
      const type = decoded.kind === 'message' && decoded.message.type;
      // A network may let the first answer through and nothing after it.
      if (type === 'connected') socket.send(JSON.stringify({ id: 1, type: 'ping' }));
      if (type !== 'pong') return;
      this.stop();
      found();
    };
  }
}
