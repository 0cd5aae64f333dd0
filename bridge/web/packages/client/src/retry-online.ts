/** Doing what needs the network: now, or once it is back. */
import { maxWaiting } from './commands.ts';
import { CourantError } from './errors.ts';
import { online } from './network.ts';
import type { ConnectionState } from './state.ts';

/** Knows whether there is a connection. */
export interface ConnectionSource {
  readonly connection: ConnectionState;
  readonly onConnection: (listener: () => void) => () => void;
}

/** On the way to a connection that was there or is being made. */
function isAway({ connection: { status } }: ConnectionSource): boolean {
  return status === 'offline' || status === 'reconnecting';
}

/** Does it now, or again once connected when there was no network. Gives up when the client is closed or not connecting. */
export async function retryOnceOnline<T>(
  watched: ConnectionSource,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (;;) {
    try {
      if (isAway(watched)) await connected(watched, signal);
      return await work();
    } catch (error) {
      const isNetwork = error instanceof CourantError ? error.code === 'NETWORK' : error instanceof TypeError;
      // Without a network the connection may not have noticed yet.
      const onTheWay = isAway(watched) || watched.connection.status === 'connecting' || !online();
      if (!isNetwork || !onTheWay) throw error;
      await connected(watched, signal);
    }
  }
}

const waiting = new WeakMap<ConnectionSource, number>();

function connected(watched: ConnectionSource, signal?: AbortSignal): Promise<void> {
  const others = waiting.get(watched) ?? 0;
  if (others >= maxWaiting) {
    const message = 'too many calls wait for the connection';
    return Promise.reject(new CourantError('QUEUE_FULL', message, { retryable: true }));
  }
  waiting.set(watched, others + 1);
  return new Promise((resolve, reject) => {
    let isOver = false;
    const stop = (error?: CourantError) => {
      if (isOver) return;
      isOver = true;
      waiting.set(watched, (waiting.get(watched) ?? 1) - 1);
      unlisten();
      globalThis.removeEventListener?.('online', look);
      signal?.removeEventListener('abort', abort);
      if (error) reject(error);
      else resolve();
    };
    const abort = () => stop(new CourantError('ABORTED', 'stopped'));
    const look = () => {
      const { status } = watched.connection;
      if (status === 'connected') stop();
      if (status === 'failed' || status === 'disconnected') {
        stop(new CourantError('CONNECTION_LOST', 'the connection was lost', { retryable: true }));
      }
    };
    // Reconnecting ends the old connection first: only the state after that counts.
    const unlisten = watched.onConnection(() => queueMicrotask(look));
    globalThis.addEventListener?.('online', look);
    signal?.addEventListener('abort', abort);
  });
}
