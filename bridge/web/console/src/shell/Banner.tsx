import type { ConnectionState } from '@courant/client';
import { useConnection, useCourant } from '@courant/react';
import { formatWholeSeconds } from '@courant/react/format';
import { CloudOff, KeyRound } from 'lucide-react';
import { signInMessage, signOut } from '../session/session.ts';
import { useNow } from '../ui/useNow.ts';

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
  const state = useConnection();
  const message = words(state);
  if (state.status === 'connected' && state.tokenExpiresAt !== null) {
    return <Expiry at={Date.parse(state.tokenExpiresAt)} />;
  }
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

const warnMs = 2 * 60_000;

/** A session that ends soon is no surprise. */
function Expiry({ at }: { readonly at: number }) {
  const left = at - useNow();
  const soon = left < warnMs;
  return (
    <div className="banner" data-shown={soon} data-testid="session-banner">
      {soon && (
        <>
          <KeyRound aria-hidden="true" />
          <span role="timer">Your session ends in {formatWholeSeconds(Math.max(0, left / 1000))}.</span>
          <button
            type="button"
            className="button small"
            onClick={() => signOut(signInMessage('TOKEN_MISSING'))}
            data-testid="sign-in-again"
          >
            Sign in again
          </button>
        </>
      )}
    </div>
  );
}
