/** How a client is made and what its loops take. */
import type { Device, TokenProvider } from './credentials.ts';
import type { CursorStorage } from './cursors.ts';
import type { JobEvent } from './messages.ts';
import type { SocketConstructor } from './socket.ts';
import type { Schedule } from './store.ts';
import type { WatchOptions } from './subscriptions.ts';
import type { MessageFormat, TransportName } from './transport.ts';

export interface ClientOptions {
  /** The bridge's address. The page's own origin when left out. */
  readonly url?: string;
  /** Gives the token each time one is needed. Called again when it runs out or is refused. */
  readonly token: TokenProvider;
  /** The ceiling of the first wait before a new try, in milliseconds. Default 1000. */
  readonly backoffFirstMs?: number;
  /** The ceiling of all waits. Default 30000. */
  readonly backoffMaxMs?: number;
  /** From opening a connection to being signed in. Default 10000. */
  readonly connectTimeoutMs?: number;
  /** The transports to try, best first. Default: WebSocket, then event streams, then polling. */
  readonly transports?: readonly TransportName[];
  /** How messages are written on a WebSocket. Default `auto`: MessagePack, compressed, where the bridge offers it, else JSON. */
  readonly format?: MessageFormat;
  /**
   * Where cursors are kept, for example `localStorage`: topics then go on after a reload where they were, and every event is
   * heard at least once. What `jobs` knew is not kept: ask `list` for the jobs that did not change meanwhile.
   */
  readonly storage?: CursorStorage | undefined;
  /**
   * The device this is. In a page by default a random id, kept in `localStorage`, and a name such as "Firefox on Linux"
   * (`device.ts` says what that means for privacy). `null`: each connection is a device of its own, without a name.
   */
  readonly device?: Device | null;
  /**
   * Documents of so many bytes and more are uploaded so that they go on after a cut where they were; with `storage` also when
   * the same file is submitted again after a reload. Default 4 MiB; `Infinity` turns it off.
   */
  readonly resumableFrom?: number;
  /** When listeners of `jobs` are called; a microtask after the change by default. */
  readonly schedule?: Schedule;
  /** Is called with the reason when a message could not be read. The message is ignored. */
  readonly onBroken?: (reason: string) => void;
  /** For Node and tests. */
  readonly WebSocket?: SocketConstructor;
  readonly fetch?: typeof fetch;
  readonly random?: () => number;
}

/** How a topic is followed in a loop; `signal` ends it. */
export type FollowOptions = WatchOptions & { readonly signal?: AbortSignal };
/** An event of one type. */
export type EventOf<T extends JobEvent['type']> = Extract<JobEvent, { readonly type: T }>;
