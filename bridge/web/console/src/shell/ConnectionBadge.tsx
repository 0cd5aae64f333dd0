import type { ConnectionState, TransportName } from '@courant/client';
import { useConnection, useCourant } from '@courant/react';
import { useNow } from '../ui/useNow.ts';

interface Look {
  readonly label: string;
  readonly title: string;
  readonly tone: 'good' | 'wait' | 'bad';
}

const ways: Record<TransportName, string> = {
  websocket: 'WebSocket',
  sse: 'event stream',
  polling: 'polling',
};

/** How messages come, and why not by the best way. */
function by(state: ConnectionState & { status: 'connected' }): string {
  const why = state.fallback === null ? '' : `: no WebSocket gets through (${state.fallback.reason})`;
  return ` by ${ways[state.transport]}${why}`;
}

function look(state: ConnectionState): Look {
  switch (state.status) {
    case 'connected':
      if (state.stalled) {
        return {
          label: 'Delayed',
          title: 'The server behind the bridge is away; updates come late.',
          tone: 'wait',
        };
      }
      return { label: 'Live', title: `Connected as ${state.user}${by(state)}`, tone: 'good' };
    case 'connecting':
      return {
        label: state.attempt === 0 ? 'Connecting' : 'Reconnecting',
        title: 'Connecting',
        tone: 'wait',
      };
    case 'reconnecting':
      return { label: 'Reconnecting', title: state.cause.message, tone: 'wait' };
    case 'offline':
      return { label: 'Offline', title: 'No network', tone: 'bad' };
    case 'failed':
      return { label: 'Not connected', title: state.message, tone: 'bad' };
    case 'disconnected':
      return { label: 'Not connected', title: 'Not connected', tone: 'bad' };
  }
}

function Countdown({ until }: { readonly until: number }) {
  const seconds = Math.ceil((until - useNow()) / 1000);
  return <span className="badge-detail">{seconds > 0 ? `in ${seconds} s` : 'now'}</span>;
}

export function ConnectionBadge() {
  const client = useCourant();
  const state = useConnection();
  const { label, title, tone } = look(state);
  const canRetry = state.status === 'reconnecting' || state.status === 'failed' || state.status === 'offline';
  return (
    <div className="badge-row">
      <span
        className="badge"
        role="status"
        data-testid="connection-badge"
        data-state={state.status}
        data-tone={tone}
        title={title}
      >
        <span className="badge-dot" aria-hidden="true" />
        {label}
      </span>
      {state.status === 'connected' && (
        <span className="badge-detail" data-testid="connection-latency" title="Round trip to the server">
          {state.latencyMs === null ? '– ms' : `${state.latencyMs} ms`}
        </span>
      )}
      {state.status === 'connected' && state.transport !== 'websocket' && (
        <span className="badge-detail" data-testid="connection-transport" title={title}>
          {ways[state.transport]}
        </span>
      )}
      {state.status === 'reconnecting' && <Countdown until={state.retryAt} />}
      {canRetry && (
        <button
          type="button"
          className="button small"
          onClick={() => client.reconnect()}
          data-testid="reconnect"
        >
          Reconnect
        </button>
      )}
    </div>
  );
}
