/** The transports to the bridge, best first. */
import { type SocketConstructor, type SocketLike, socketUrl, subprotocol } from './socket.ts';
import type { TransportName } from './wire.generated.ts';

export type { TransportName };

/** How messages are written on a WebSocket. `auto`: MessagePack where bridge and browser can, else JSON. */
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
