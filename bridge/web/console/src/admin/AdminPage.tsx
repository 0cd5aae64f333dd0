import type { AuditEntry, Connections, SystemMetrics } from '@courant/client/service';
import {
  useAuditTrail,
  useConnectionCounts,
  useCourant,
  useQueueStatus,
  useSystemMetrics,
  useTopic,
} from '@courant/react';
import { formatCount, formatDuration, sentenceCase } from '@courant/react/format';
import { ShieldAlert } from 'lucide-react';
import { useSyncExternalStore } from 'react';
import { Tile } from '../queue/QueuePage.tsx';
import { Unserved } from '../queue/Unserved.tsx';
import { home } from '../shell/route.ts';
import { formatAgo, formatBytes, formatDateTime, formatUptime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';
import { useTitle } from '../ui/useTitle.ts';
import { Bridges } from './Bridges.tsx';
import { Chart } from './Chart.tsx';
import { metricsHistoryOf } from './metrics-history.ts';
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
        <TopicCounts />
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
        value={metrics.averageDuration === null ? '–' : formatDuration(metrics.averageDuration)}
      />
      <Tile name="Memory" value={formatBytes(metrics.memoryBytes)} />
      <Tile name={`Up, version ${metrics.version}`} value={up === null ? '–' : formatUptime(up)} />
    </dl>
  );
}

function Charts() {
  const history = metricsHistoryOf(useCourant());
  const series = useSyncExternalStore(history.subscribe, history.series);
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

function TopicCounts() {
  const connections = useConnectionCounts();
  return (
    <section className="panel" aria-labelledby="connections-title" data-testid="connections">
      <div className="panel-head">
        <h2 id="connections-title">Connections</h2>
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
function counted({ allBridges, total, users }: Connections): string {
  const of = allBridges ?? { total, users };
  return `${formatCount(of.total, 'connection')}, ${formatCount(of.users, 'person', 'people')}`;
}

/** So many the server names. */
const mostTopics = 50;
/** So many entries the bridge gives out. */
const mostEntries = 100;

function RoomTable({ connections }: { readonly connections: Connections }) {
  const { allBridges } = connections;
  const { topics } = allBridges ?? connections;
  const more = allBridges === null ? connections.topicsTotal - topics.length : 0;
  // How many there are over all bridges nobody counts: the same topic may be at several.
  const isCut = allBridges !== null && topics.length >= mostTopics;
  const most = Math.max(1, ...topics.map((topic) => topic.connections));
  return (
    <section className="scroll" tabIndex={0} aria-labelledby="connections-title">
      <table className="table">
        <thead>
          <tr>
            <th>Topic</th>
            <th className="right">Connections</th>
          </tr>
        </thead>
        <tbody>
          {topics.map((topic) => (
            <tr key={topic.name}>
              <td className="mono clip" title={topic.name}>
                {topic.name}
                <span className="level" aria-hidden="true">
                  <span style={{ transform: `scaleX(${topic.connections / most})` }} />
                </span>
              </td>
              <td className="right">{topic.connections}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 && <p className="muted small">{formatCount(more, 'more topic')} not shown</p>}
      {isCut && <p className="muted small">The {topics.length} busiest topics are shown.</p>}
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
          from the server's audit log, newest first
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

function Entry({
  entry: { address, code, count, action, target, time, user },
}: {
  readonly entry: AuditEntry;
}) {
  const now = useNow();
  return (
    <li data-tone={bad.has(action) || code !== null ? 'bad' : undefined}>
      <strong>
        {sentenceCase(action.replaceAll('-', ' '))}
        {count !== null && ` × ${count}`}
        {code !== null && ` (${code})`}
      </strong>
      <span className="clip">
        {[user, target].filter(Boolean).join(' · ')}
        {address && <span className="muted"> from {address}</span>}
      </span>
      <time className="muted small nowrap" dateTime={time} title={formatDateTime(time)}>
        {formatAgo(time, now)}
      </time>
    </li>
  );
}
