import { Popover } from '@base-ui/react/popover';
import type { ConnectionState } from '@courant/client';
import { useConnection, useCourant } from '@courant/react';
import { describeConnection, transportNames } from '@courant/react/format';
import { RefreshCw } from 'lucide-react';
import { formatDateTime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';
import { MyDevices } from './Devices.tsx';

function Countdown({ until }: { readonly until: number }) {
  const seconds = Math.ceil((until - useNow()) / 1000);
  return <span className="badge-detail">{seconds > 0 ? `in ${seconds} s` : 'now'}</span>;
}

/** The state of the connection: one word, and all about it on demand. */
export function ConnectionBadge() {
  const state = useConnection();
  const { label, tone } = describeConnection(state);
  const fallback = state.status === 'connected' && state.transport !== 'websocket' ? state.transport : null;
  return (
    <div className="badge-row">
      <span className="hidden" role="status">
        Connection: {label}
      </span>
      <Popover.Root>
        <Popover.Trigger
          className="badge"
          data-testid="connection-badge"
          data-state={state.status}
          data-tone={tone}
        >
          <span className="badge-dot" aria-hidden="true" />
          <span className="hidden">Connection: </span>
          {label}
          {state.status === 'connected' && (
            <span className="badge-detail" data-testid="connection-latency">
              {state.latencyMs === null ? '– ms' : `${state.latencyMs} ms`}
            </span>
          )}
          {fallback !== null && (
            <span className="badge-detail" data-testid="connection-transport">
              {transportNames[fallback]}
            </span>
          )}
          {state.status === 'reconnecting' && <Countdown until={state.retryAt} />}
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Positioner sideOffset={8} align="end" className="positioner">
            <Popover.Popup className="popover" data-testid="connection-details">
              <Details state={state} />
            </Popover.Popup>
          </Popover.Positioner>
        </Popover.Portal>
      </Popover.Root>
    </div>
  );
}

function facts(state: ConnectionState): readonly (readonly [string, string])[] {
  if (state.status === 'connected') {
    return [
      ['Signed in as', state.user],
      ['Transport', transportNames[state.transport]],
      ...(state.fallback === null
        ? []
        : [['Why no WebSocket', `${state.fallback.message} (${state.fallback.reason})`] as const]),
      ['Latency', state.latencyMs === null ? 'not measured yet' : `${state.latencyMs} ms`],
      ['Session until', state.tokenExpiresAt === null ? 'open end' : formatDateTime(state.tokenExpiresAt)],
      ['Connection', state.connectionId],
    ];
  }
  if (state.status === 'reconnecting') {
    return [
      ['Attempts', String(state.attempt)],
      ['Reason', state.cause.reason],
      ['Code', String(state.cause.code)],
    ];
  }
  return state.status === 'failed'
    ? [
        ['Reason', state.reason],
        ['Code', String(state.code)],
      ]
    : [];
}

function Details({ state }: { readonly state: ConnectionState }) {
  const client = useCourant();
  const { label, text, tone } = describeConnection(state);
  return (
    <>
      <Popover.Title className="popover-title" data-tone={tone}>
        {label}
      </Popover.Title>
      <Popover.Description className="muted small">{text}</Popover.Description>
      <dl className="popover-facts">
        {facts(state).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {state.status === 'connected' && <MyDevices />}
      <button
        type="button"
        className="button small"
        onClick={() => client.reconnect()}
        data-testid="reconnect"
      >
        <RefreshCw aria-hidden="true" />
        {state.status === 'connected' ? 'Reconnect' : 'Reconnect now'}
      </button>
    </>
  );
}
