import type { ConnectionState } from '@courant/client';
import { useConnection, useCourant } from '@courant/react';
import { CloudOff } from 'lucide-react';

function words(state: ConnectionState): string | null {
  switch (state.status) {
    case 'offline':
      return 'You are offline. Your jobs go on; this page catches up when the network is back.';
    case 'failed':
      return `Not connected: ${state.message}.`;
    case 'reconnecting':
      return state.attempt > 1
        ? 'The connection was lost. Your jobs go on; this page catches up by itself.'
        : null;
    default:
      return null;
  }
}

/** One line across the page when what is shown may be old. It lies over the page, so nothing jumps. */
export function Banner() {
  const client = useCourant();
  const message = words(useConnection());
  return (
    <div className="banner" role="status" data-shown={message !== null} data-testid="offline-banner">
      {message !== null && (
        <>
          <CloudOff aria-hidden="true" />
          <span>{message}</span>
          <button
            type="button"
            className="button small"
            onClick={() => client.reconnect()}
            data-testid="reconnect-now"
          >
            Reconnect
          </button>
        </>
      )}
    </div>
  );
}
