/** The ways to the bridge, best first, and the search for a better one while a worse is in use. */
import { discard, type SocketConstructor, type SocketLike, socketUrl, subprotocol } from './socket.ts';
import { Timer } from './timer.ts';

export type TransportName = 'websocket' | 'sse' | 'polling';
/** How messages are written on a WebSocket. `auto`: packed where the bridge and this place can, else JSON. */
export type MessageFormat = 'auto' | 'json' | 'msgpack';

/** One way to the bridge. */
export interface Transport {
  readonly name: TransportName;
  /** Begins to connect. Rejects when the address cannot be one, or what it needs cannot be loaded. */
  readonly open: () => Promise<SocketLike>;
}

export interface TransportOptions {
  readonly names: readonly TransportName[];
  readonly base: string;
  readonly url: (path: string) => string;
  /** Missing where there are no WebSockets. */
  readonly socket: SocketConstructor | undefined;
  readonly format: MessageFormat;
  readonly fetch: typeof fetch;
}

export function transports(options: TransportOptions): readonly Transport[] {
  const { base, url, socket, fetch, format } = options;
  const names = options.names.filter((name) => name !== 'websocket' || socket !== undefined);
  return names.map((name) => ({
    name,
    open: async () => {
      if (name === 'websocket' && socket !== undefined) {
        const to = socketUrl(base);
        // Without the module JSON will do.
        const packed = format !== 'json' && (await import('./packed-socket.ts').catch(() => null));
        return packed ? packed.openPacked(socket, to, format) : new socket(to, [subprotocol]);
      }
      // Most never need it.
      const { HttpSocket } = await import('./http-socket.ts');
      return new HttpSocket({ url, fetch, by: name === 'polling' ? name : 'sse' });
    },
  }));
}

/** Between two looks, at first; doubles up to the longest. */
const firstLookMs = 15_000;
const longestLookMs = 5 * 60_000;
const answerWithinMs = 10_000;

/** Looks from time to time whether a better way works: opens it, signs in, and asks for one answer after that. */
export class Scout {
  readonly #timer = new Timer();
  #socket: SocketLike | null = null;
  #waitMs = firstLookMs;

  /** Looks until `found` is called, or `stop`. */
  start(transport: Transport, auth: object, found: () => void): void {
    this.stop();
    this.#timer.set(this.#waitMs, () => {
      this.#waitMs = Math.min(2 * this.#waitMs, longestLookMs);
      void this.#look(transport, auth, found);
    });
  }

  /** A good connection by the best way: the next search begins eagerly again. */
  reset(): void {
    this.#waitMs = firstLookMs;
  }

  stop(): void {
    this.#timer.clear();
    if (this.#socket !== null) discard(this.#socket);
    this.#socket = null;
  }

  async #look(transport: Transport, auth: object, found: () => void): Promise<void> {
    const next = (): void => this.start(transport, auth, found);
    this.#timer.set(answerWithinMs, next);
    const [socket, { decode }] = await Promise.all([transport.open(), import('./decode.ts')]);
    // Stopped in the meantime.
    if (!this.#timer.pending) {
      discard(socket);
      return;
    }
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(auth));
    socket.onclose = next;
    socket.onmessage = ({ data }) => {
      const decoded = decode(data);
      const type = decoded.kind === 'message' && decoded.message.type;
      // A way that lets the first answer through and nothing after it is no way.
      if (type === 'connected') socket.send(JSON.stringify({ id: 1, type: 'ping' }));
      if (type !== 'pong') return;
      this.stop();
      found();
    };
  }
}
