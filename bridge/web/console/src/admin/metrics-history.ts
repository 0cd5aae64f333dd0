/** The metrics of the last hour, as the charts draw them. Kept when one leaves the page and comes back. */
import type { CourantClient } from '@courant/client';
import { connectionCounts, queueStatus, systemMetrics } from '@courant/client/service';

export const seriesNames = [
  'jobs',
  'pages',
  'wait',
  'errors',
  'latency',
  'connections',
  'memory',
  'cpu',
] as const;
export type SeriesName = (typeof seriesNames)[number];
type Value = number | null;

export interface Series {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly values: Readonly<Record<SeriesName, readonly Value[]>>;
}

/** An hour at a set each five seconds. */
const longest = 720;
const nothing: Series = {
  times: [],
  values: { jobs: [], pages: [], wait: [], errors: [], latency: [], connections: [], memory: [], cpu: [] },
};

export class MetricsHistory {
  readonly #client: CourantClient;
  readonly #listeners = new Set<() => void>();
  #series: Series = nothing;
  #last: string | null = null;

  constructor(client: CourantClient) {
    this.#client = client;
    client.onPushed(() => this.#update());
  }

  readonly series = (): Series => this.#series;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #update(): void {
    const metrics = systemMetrics(this.#client);
    if (metrics === null || metrics.sampleTime === null || metrics.sampleTime === this.#last) return;
    this.#last = metrics.sampleTime;
    const { connection } = this.#client;
    const waits = queueStatus(this.#client)?.lanes.flatMap(({ averageWait }) => averageWait ?? []) ?? [];
    const now: Record<SeriesName, Value> = {
      jobs: metrics.throughputPerHour,
      pages: metrics.pagesPerHour,
      wait: waits.length === 0 ? null : Math.max(...waits),
      errors: metrics.errorRate * 100,
      latency: connection.status === 'connected' ? connection.latencyMs : null,
      connections: connectionCounts(this.#client)?.total ?? null,
      memory: metrics.memoryBytes / 1e6,
      cpu: metrics.cpuPercent,
    };
    const { times, values } = this.#series;
    const more = <T>(list: readonly T[], next: T): readonly T[] => [...list.slice(1 - longest), next];
    const entries = seriesNames.map((name) => [name, more(values[name], now[name])] as const);
    this.#series = {
      times: more(times, Date.parse(metrics.sampleTime) / 1000),
      values: Object.fromEntries(entries) as unknown as Series['values'],
    };
    for (const listener of this.#listeners) listener();
  }
}

const known = new WeakMap<CourantClient, MetricsHistory>();

export function metricsHistoryOf(client: CourantClient): MetricsHistory {
  const history = known.get(client) ?? new MetricsHistory(client);
  known.set(client, history);
  return history;
}
