import { useConnection } from '@courant/react';
import { CloudOff } from 'lucide-react';

/** One line across the page when what is shown may be old. It lies over the page, so nothing jumps. */
export function Banner() {
  const state = useConnection();
  const message =
    state.status === 'offline'
      ? 'You are offline. Your jobs go on; this page catches up when the network is back.'
      : state.status === 'failed'
        ? `Not connected: ${state.message}.`
        : state.status === 'reconnecting' && state.attempt > 1
          ? 'The connection was lost. Your jobs go on; this page catches up by itself.'
          : null;
  return (
    <div className="banner" role="status" data-shown={message !== null} data-testid="offline-banner">
      {message !== null && (
        <>
          <CloudOff aria-hidden="true" />
          <span>{message}</span>
        </>
      )}
    </div>
  );
}
