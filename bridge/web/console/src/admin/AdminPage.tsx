import type { AuditEntry, Connections, SystemMetrics } from '@courant/client/service';
import {
  useAuditTrail,
  useConnectionCounts,
  useCourant,
  useQueueStatus,
  useSystemMetrics,
  useTopic,
} from '@courant/react';
import { ShieldAlert } from 'lucide-react';
import { useSyncExternalStore } from 'react';
import { Tile, Unserved } from '../queue/QueuePage.tsx';
import { home } from '../shell/route.ts';
import { ago, bytes, count, dateTime, sentenceCase, span, uptime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';
import { useTitle } from '../ui/useTitle.ts';
import { Bridges } from './Bridges.tsx';
import { Chart } from './Chart.tsx';
import { figuresOf } from './series.ts';
import { Workers } from './Workers.tsx';
import 'uplot/dist/uPlot.min.css';

/** The service as its operators see it. Everything on it is pushed. */
export default function AdminPage() {
  useTitle('System');
  const metrics = useSystemMetrics();
  const queue = useQueueStatus();
  const topic = useTopic('admin');
  if (topic.phase === 'ended') {
    return (
      <div className="page">
        <h1>System</h1>
        <div className="panel empty-panel" role="alert" data-testid="admin-refused">
          <ShieldAlert aria-hidden="true" />
          <strong>This page is for administrators</strong>
          <p className="muted">
            {sentenceCase(topic.message)}. Sign in with a token that has the role <code>admin</code>.
          </p>
          <a className="button small" href={home}>
            To your jobs
          </a>
        </div>
      </div>
    );
  }
  return (
    <div className="page" data-testid="admin-page">
      <h1>System</h1>
      <Unserved kinds={queue?.unservedKinds ?? []} />
      {metrics === null ? (
        <div className="skeleton-card skeleton-tiles" aria-busy="true" />
      ) : (
        <Summary metrics={metrics} />
      )}
      <Charts />
      <Workers />
      <Bridges />
      <div className="columns">
        <Rooms />
        <Trail />
      </div>
    </div>
  );
}

function Summary({ metrics }: { readonly metrics: SystemMetrics }) {
  const now = useNow();
  const up = metrics.startTime === null ? null : (now - Date.parse(metrics.startTime)) / 1000;
  return (
    <dl className="tiles">
      <Tile name="Slots in use" value={metrics.slotsUsed.toLocaleString('en')} of={metrics.slotsTotal} />
      <Tile name="Jobs, last hour" value={metrics.throughputPerHour.toLocaleString('en')} />
      <Tile
        name="Failed, last hour"
        value={`${(metrics.errorRate * 100).toFixed(metrics.errorRate > 0.1 ? 0 : 1)} %`}
      />
      <Tile
        name="Job duration"
        value={metrics.averageDuration === null ? '–' : span(metrics.averageDuration)}
      />
      <Tile name="Memory" value={bytes(metrics.memoryBytes)} />
      <Tile name={`Up, version ${metrics.version}`} value={up === null ? '–' : uptime(up)} />
    </dl>
  );
}

function Charts() {
  const figures = figuresOf(useCourant());
  const series = useSyncExternalStore(figures.subscribe, figures.series);
  return (
    <section className="charts" aria-label="Metrics over time">
      <Chart title="Throughput" unit="jobs / h" name="jobs" series={series} color="--flow" />
      <Chart title="Pages" unit="pages / h" name="pages" series={series} color="--flow" />
      <Chart title="Recent wait" unit="s" name="wait" series={series} color="--zone-list" digits={1} />
      <Chart title="Errors" unit="%" name="errors" series={series} color="--bad" digits={1} />
      <Chart title="Latency" unit="ms" name="latency" series={series} color="--zone-heading" />
      <Chart title="Connections" unit="" name="connections" series={series} color="--zone-heading" />
      <Chart title="Memory" unit="MB" name="memory" series={series} color="--zone-table" />
      <Chart title="Processor" unit="%" name="cpu" series={series} color="--zone-table" digits={1} />
    </section>
  );
}

function Rooms() {
  const connections = useConnectionCounts();
  return (
    <section className="panel" aria-labelledby="rooms-title" data-testid="rooms">
      <div className="panel-head">
        <h2 id="rooms-title">Connections</h2>
        {connections !== null && <span className="muted small">{counted(connections)}</span>}
      </div>
      {connections === null ? (
        <p className="empty muted">Loading…</p>
      ) : (
        <RoomTable connections={connections} />
      )}
    </section>
  );
}

/** Over all bridges, as far as they are known. */
function counted({ everywhere, total, users }: Connections): string {
  const of = everywhere ?? { total, users };
  return `${count(of.total, 'connection')}, ${count(of.users, 'person', 'people')}`;
}

/** So many the server names. */
const mostRooms = 50;
/** So many entries the bridge gives out. */
const mostEntries = 100;

function RoomTable({ connections }: { readonly connections: Connections }) {
  const { everywhere } = connections;
  const { rooms } = everywhere ?? connections;
  const more = everywhere === null ? connections.roomsTotal - rooms.length : 0;
  // How many there are over all bridges nobody counts: the same room may be at several.
  const isCut = everywhere !== null && rooms.length >= mostRooms;
  const most = Math.max(1, ...rooms.map((room) => room.connections));
  return (
    <section className="scroll" tabIndex={0} aria-labelledby="rooms-title">
      <table className="table">
        <thead>
          <tr>
            <th>Topic</th>
            <th className="right">Connections</th>
          </tr>
        </thead>
        <tbody>
          {rooms.map((room) => (
            <tr key={room.name}>
              <td className="mono clip" title={room.name}>
                {room.name}
                <span className="level" aria-hidden="true">
                  <span style={{ transform: `scaleX(${room.connections / most})` }} />
                </span>
              </td>
              <td className="right">{room.connections}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 && <p className="muted small">{count(more, 'more topic')} not shown</p>}
      {isCut && <p className="muted small">The {rooms.length} busiest topics are shown.</p>}
    </section>
  );
}

function Trail() {
  const entries = useAuditTrail();
  return (
    <section className="panel" aria-labelledby="audit-title" data-testid="audit">
      <div className="panel-head">
        <h2 id="audit-title">Audit trail</h2>
        <span className="muted small">
          through this bridge, newest first
          {entries !== null && entries.length >= mostEntries && `; the newest ${entries.length} are shown`}
        </span>
      </div>
      {entries === null ? (
        <p className="empty muted">Loading…</p>
      ) : (
        <section className="scroll" tabIndex={0} aria-labelledby="audit-title">
          <ol className="trail">
            {entries.map((entry) => (
              <Entry key={entry.number} entry={entry} />
            ))}
          </ol>
        </section>
      )}
    </section>
  );
}

const bad = new Set(['token-refused', 'limit-refused']);

function Entry({ entry: { address, count, deed, target, time, user } }: { readonly entry: AuditEntry }) {
  const now = useNow();
  return (
    <li data-tone={bad.has(deed) ? 'bad' : undefined}>
      <strong>
        {sentenceCase(deed.replaceAll('-', ' '))}
        {count > 1 && ` × ${count}`}
      </strong>
      <span className="clip">
        {[user, target].filter(Boolean).join(' · ')}
        {address && <span className="muted"> from {address}</span>}
      </span>
      <time className="muted small nowrap" dateTime={time} title={dateTime(time)}>
        {ago(time, now)}
      </time>
    </li>
  );
}
