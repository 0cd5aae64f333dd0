/** Names of transports, for people. */
import type { TransportName } from '@courant/client';

export const transportNames: Record<TransportName, string> = {
  websocket: 'WebSocket',
  sse: 'event stream',
  polling: 'polling',
};
