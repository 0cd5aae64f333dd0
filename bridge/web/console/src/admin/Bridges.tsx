import type { AllBridges, BridgeConnections } from '@courant/client/service';
import { useConnectionCounts } from '@courant/react';
import { formatCount } from '@courant/react/format';
import { formatAgo, formatDateTime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';

/** All bridges, and how many are connected to each. Nothing until the server has sent it. */
export function Bridges() {
  const connections = useConnectionCounts();
  const allBridges = connections?.allBridges ?? null;
  if (connections === null || allBridges === null) return null;
  return (
    <section className="panel" aria-labelledby="bridges-title" data-testid="bridges">
      <div className="panel-head">
        <h2 id="bridges-title">Bridges</h2>
        <span className="muted small">{summary(allBridges)}</span>
      </div>
      <section className="scroll" tabIndex={0} aria-labelledby="bridges-title">
        <table className="table">
          <thead>
            <tr>
              <th>Bridge</th>
              <th className="bridge-since">Connected since</th>
              <th className="right">Connections</th>
              <th className="right">People</th>
              <th className="right">Topics</th>
            </tr>
          </thead>
          <tbody>
            {allBridges.bridges.map((line) => (
              <Line key={line.bridge} line={line} own={line.bridge === connections.bridge} />
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function summary({ bridges, devices, total, users }: AllBridges): string {
  return [
    formatCount(bridges.length, 'bridge'),
    formatCount(total, 'connection'),
    formatCount(users, 'person', 'people'),
    formatCount(devices, 'device'),
  ].join(', ');
}

function Line({ line, own }: { readonly line: BridgeConnections; readonly own: boolean }) {
  const now = useNow();
  return (
    <tr data-testid="bridge">
      <td className="mono bridge-name" title={`${line.bridge} ${line.software}`}>
        {/* The end of the id distinguishes bridges that started together. */}
        {`…${line.bridge.slice(-8)}`}
        {own && <span className="bridge-this">this page’s</span>}
      </td>
      <td className="bridge-since">
        {line.connectTime === null ? (
          '–'
        ) : (
          <time dateTime={line.connectTime} title={formatDateTime(line.connectTime)}>
            {formatAgo(line.connectTime, now)}
          </time>
        )}
      </td>
      <td className="right">{line.connections}</td>
      <td className="right">{line.users}</td>
      <td className="right">{line.topics}</td>
    </tr>
  );
}
