/** The ways messages come, in words for people. */
import type { TransportName } from '@courant/client';

export const ways: Record<TransportName, string> = {
  websocket: 'WebSocket',
  sse: 'event stream',
  polling: 'polling',
};
