/** The part of the WebSocket interface this package needs, so that tests and Node can bring their own. */

export type SocketLike = Pick<WebSocket, 'onopen' | 'onmessage' | 'onclose' | 'onerror' | 'send' | 'close'>;

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

/** The subprotocol of PROTOCOL.md, section 1. */
export const subprotocol = 'courant.v1.json';

/** Cuts a socket off: no callback runs any more, whatever it still does. */
export function closeSilently(socket: SocketLike): void {
  socket.onopen = null;
  socket.onmessage = null;
  socket.onclose = null;
  socket.onerror = null;
  try {
    socket.close(1000);
  } catch {
    // Closing a socket that never opened may throw; it is gone either way.
  }
}

/** The address of the WebSocket beside an HTTP base address. */
export function socketUrl(base: string): string {
  const url = new URL('ws', base.endsWith('/') ? base : `${base}/`);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
