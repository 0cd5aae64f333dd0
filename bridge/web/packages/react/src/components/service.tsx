import { type ReactNode, useState } from 'react';
import { useCourant } from '../context.ts';
import { describeConnection, estimatedWaitText, formatCount } from '../format.ts';
import { useConnection, useTopic } from '../hooks.ts';
import {
  useAuditTrail,
  useConnectionCounts,
  useQueueStatus,
  useSystemMetrics,
  useWorkers,
} from '../service.ts';
import { withErrorBoundary } from './boundary.tsx';
import type { Slot } from './slots.ts';

function Connection() {
  const client = useCourant();
  const state = useConnection();
  const connected = state.status === 'connected';
  const { label, text } = describeConnection(state);
  const explained =
    state.status === 'reconnecting' || state.status === 'failed' || (connected && state.stalled);
  return (
    <div
      data-courant="connection"
      data-status={state.status}
      data-transport={connected ? state.transport : undefined}
    >
      <span role="status">{explained ? `${label}: ${text}` : label}</span>
      {connected && state.latencyMs !== null && <span> {state.latencyMs} ms</span>}
      {!connected && state.status !== 'connecting' && (
        <button type="button" onClick={() => client.reconnect()}>
          Reconnect
        </button>
      )}
    </div>
  );
}

/** The state of the connection, and a way to try again. */
export const ConnectionStatus = withErrorBoundary(Connection);

export interface UnservedKindsProps {
  readonly kinds: readonly string[];
  /** Before the words. */
  readonly icon?: ReactNode;
  readonly slotProps?: { readonly kind?: Slot<'p'> };
}

/** Warns of kinds of jobs that no worker serves. */
export function UnservedKinds({ kinds, icon, slotProps = {} }: UnservedKindsProps) {
  return kinds.map((kind) => (
    <p key={kind} role="alert" data-courant="unserved-kind" {...slotProps.kind}>
      {icon}
      <span>
        No worker serves <strong>{kind}</strong>: jobs of this kind wait until one does.
      </span>
    </p>
  ));
}

function Queue() {
  const queue = useQueueStatus();
  const topic = useTopic('queue');
  if (queue === null) return <p role="status">{topic.phase === 'ended' ? topic.message : 'Loading…'}</p>;
  return (
    <div data-courant="queue">
      <UnservedKinds kinds={queue.unservedKinds} />
      <table>
        <caption>
          {formatCount(queue.workersActive, 'worker')} of {queue.workersTotal} busy
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
              <td>{estimatedWaitText(lane)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What waits in which lane, and how long. */
export const QueueStatus = withErrorBoundary(Queue);

function Metrics() {
  const metrics = useSystemMetrics();
  if (metrics === null) return <p role="status">Loading…</p>;
  const values: readonly (readonly [string, string])[] = [
    ['Slots in use', `${metrics.slotsUsed} of ${metrics.slotsTotal}`],
    ['Jobs in the last hour', String(metrics.throughputPerHour)],
    ['Failed of these', `${(100 * metrics.errorRate).toFixed(1)} %`],
    ['Memory', `${Math.round(metrics.memoryBytes / 1e6)} MB`],
    ['Processor', `${metrics.cpuPercent.toFixed(1)} %`],
  ];
  return (
    <dl>
      {values.map(([name, value]) => (
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
          {worker.workerId}: {formatCount(worker.jobs.length, 'job')} of {worker.slots}
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
      {formatCount(connections.total, 'connection')} in {formatCount(connections.topicsTotal, 'topic')}
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
      <Metrics />
      <Queue />
      <Workers />
      <TopicCounts />
      <Trail />
    </section>
  );
}

/** The service as its operators see it; others see why not. */
export const AdminDashboard = withErrorBoundary(Dashboard);
