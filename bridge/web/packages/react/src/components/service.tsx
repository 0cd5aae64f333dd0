import type { ConnectionState } from '@courant/client';
import { useState } from 'react';
import { useCourant } from '../context.ts';
import { useConnection, useTopic } from '../hooks.ts';
import {
  useAuditTrail,
  useConnectionCounts,
  useQueueStatus,
  useSystemMetrics,
  useWorkers,
} from '../service.ts';
import { guarded } from './boundary.tsx';
import { count, seconds } from './words.ts';

function words(state: ConnectionState): string {
  switch (state.status) {
    case 'connected':
      return state.stalled ? 'Connected; updates are late' : 'Live';
    case 'connecting':
      return 'Connecting…';
    case 'reconnecting':
      return `Reconnecting: ${state.cause.message}`;
    case 'offline':
      return 'Offline';
    case 'failed':
      return `Not connected: ${state.message}`;
    case 'disconnected':
      return 'Not connected';
  }
}

function Connection() {
  const client = useCourant();
  const state = useConnection();
  const connected = state.status === 'connected';
  return (
    <div
      data-courant="connection"
      data-status={state.status}
      data-transport={connected ? state.transport : undefined}
    >
      <span role="status">{words(state)}</span>
      {connected && state.latencyMs !== null && <span> {state.latencyMs} ms</span>}
      {!connected && state.status !== 'connecting' && (
        <button type="button" onClick={() => client.reconnect()}>
          Reconnect
        </button>
      )}
    </div>
  );
}

/** How the page hears of its jobs, and a way to try again. */
export const ConnectionStatus = guarded(Connection);

function Queue() {
  const queue = useQueueStatus();
  const topic = useTopic('queue');
  if (queue === null) return <p role="status">{topic.phase === 'ended' ? topic.message : 'Loading…'}</p>;
  return (
    <div data-courant="queue">
      {queue.unservedKinds.map((kind) => (
        <p key={kind} role="alert">
          No worker serves {kind}.
        </p>
      ))}
      <table>
        <caption>
          {count(queue.workersActive, 'worker')} of {queue.workersTotal} busy
        </caption>
        <thead>
          <tr>
            <th scope="col">Lane</th>
            <th scope="col">Waiting</th>
            <th scope="col">Processing</th>
            <th scope="col">Estimated wait</th>
          </tr>
        </thead>
        <tbody>
          {queue.lanes.map((lane) => (
            <tr key={`${lane.kind} ${lane.lane}`}>
              <th scope="row">
                {lane.lane} ({lane.kind})
              </th>
              <td>{lane.waiting + lane.delayed}</td>
              <td>{lane.active}</td>
              <td>{seconds(lane.estimatedWait)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What waits in which lane, and how long. */
export const QueueStatus = guarded(Queue);

function Figures() {
  const metrics = useSystemMetrics();
  if (metrics === null) return <p role="status">Loading…</p>;
  const figures: readonly (readonly [string, string])[] = [
    ['Slots in use', `${metrics.slotsUsed} of ${metrics.slotsTotal}`],
    ['Jobs in the last hour', String(metrics.throughputPerHour)],
    ['Failed of these', `${(100 * metrics.errorRate).toFixed(1)} %`],
    ['Memory', `${Math.round(metrics.memoryBytes / 1e6)} MB`],
    ['Processor', `${metrics.cpuPercent.toFixed(1)} %`],
  ];
  return (
    <dl>
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Workers() {
  const workers = useWorkers() ?? [];
  return (
    <ul aria-label="Workers">
      {workers.map((worker) => (
        <li key={worker.workerId} data-connected={worker.connected} data-draining={worker.draining}>
          {worker.workerId}: {count(worker.jobs.length, 'job')} of {worker.slots}
          {worker.draining && ', drained'}
          {!worker.connected && ', lost'}
        </li>
      ))}
    </ul>
  );
}

function TopicCounts() {
  const connections = useConnectionCounts();
  if (connections === null) return null;
  return (
    <p>
      {count(connections.total, 'connection')} in {count(connections.topicsTotal, 'topic')}
    </p>
  );
}

/** So many entries are shown until one asks for all that came. */
const fewEntries = 20;

function Trail() {
  const entries = useAuditTrail() ?? [];
  const [all, setAll] = useState(false);
  const shown = all ? entries : entries.slice(0, fewEntries);
  return (
    <>
      <ol aria-label="Audit trail">
        {shown.map((entry) => (
          <li key={entry.number}>
            <time dateTime={entry.time}>{entry.time}</time> {entry.user} {entry.action} {entry.target}
          </li>
        ))}
      </ol>
      {shown.length < entries.length && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {entries.length}
        </button>
      )}
    </>
  );
}

function Dashboard() {
  const topic = useTopic('admin');
  if (topic.phase === 'ended') return <p role="alert">{topic.message}</p>;
  return (
    <section data-courant="admin" aria-label="Service">
      <Figures />
      <Queue />
      <Workers />
      <TopicCounts />
      <Trail />
    </section>
  );
}

/** The service as its operators see it; others see why not. */
export const AdminDashboard = guarded(Dashboard);
