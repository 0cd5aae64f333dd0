/** The states of a connection, as a page shows them. */
import type { TransportName } from './wire.generated.ts';

/** Why the last connection ended or could not be made. */
export interface Cause {
  /** The close code, 1006 when there was none. */
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

export type ConnectionState =
  /** Not asked to connect. */
  | { readonly status: 'disconnected' }
  /** Opening; `attempt` is 0 the first time and counts the tries since the connection was lost. */
  | { readonly status: 'connecting'; readonly attempt: number }
  | {
      readonly status: 'connected';
      readonly connectionId: string;
      /** Which of the user's devices this is; `null` when the bridge does not say. */
      readonly deviceId: string | null;
      readonly user: string;
      readonly roles: readonly string[];
      readonly tokenExpiresAt: string | null;
      /** How messages come: the best way that this network lets through. */
      readonly transport: TransportName;
      /** Why it is not a WebSocket; `null` when it is. A way back is looked for from time to time. */
      readonly fallback: Cause | null;
      /** The newest round trip; `null` until one was measured. */
      readonly latencyMs: number | null;
      /** The bridge has lost its source: messages are late, not lost. */
      readonly stalled: boolean;
    }
  /** Waiting to try again at `retryAt` (milliseconds since 1970). */
  | {
      readonly status: 'reconnecting';
      readonly attempt: number;
      readonly retryAt: number;
      readonly cause: Cause;
    }
  /** The browser says there is no network; a try follows at once when it comes back. */
  | { readonly status: 'offline' }
  /** Trying again by itself would not help: a new token is needed, or the client is at fault. */
  | ({ readonly status: 'failed' } & Cause);

/** What a lost connection means, by its close code (PROTOCOL.md, section 6). */
export type CloseAction = 'token' | 'stop' | 'backoff' | 'at-once';

export function closeAction(code: number): CloseAction {
  if (code === 4401) return 'token';
  if (code === 4508) return 'at-once';
  // Not our fault and worth another try: too slow a network for `auth`, or too many at this moment.
  if (code === 4408 || code === 4429) return 'backoff';
  // A fault of this client, by the WebSocket protocol (RFC 6455) or by ours.
  const isOurs = code === 1002 || code === 1007 || code === 1009 || (code >= 4400 && code < 4500);
  return isOurs ? 'stop' : 'backoff';
}

/** Full jitter: anything from 0 to the ceiling, which doubles from `firstMs` to `maxMs`. */
export function backoffMs(attempt: number, random: () => number, firstMs: number, maxMs: number): number {
  return random() * Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30));
}
