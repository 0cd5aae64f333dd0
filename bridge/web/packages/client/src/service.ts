/**
 * What the topics `queue`, `devices`, `admin` and `notifications` push, and what the bridge says of batches and quotas, checked and
 * typed: `@courant/client/service`. Beside the client and not in it, since most pages need none of it.
 */
import type { CourantClient } from './client.ts';
import * as parts from './decode-service.ts';
import { CourantError } from './errors.ts';
import type { StateMessage } from './messages.ts';
import * as read from './read.ts';
import type {
  AuditEntry,
  Batch,
  ConnectedDevice,
  Connections,
  Devices,
  Notice,
  Queue,
  Quota,
  SystemMetrics,
  Worker,
} from './service-types.ts';
import type * as wire from './wire.generated.ts';

export * from './service-types.ts';

/** The notice in a message, and how many are unread now; `null` when the message is another one. */
export function noticeIn(message: StateMessage): { readonly notice: Notice; readonly unread: number } | null {
  if (message.type !== 'notification') return null;
  try {
    const from: read.Raw<wire.NotificationEvent> = message.body;
    return { notice: parts.notice(read.part(from, 'notification')), unread: read.number(from, 'unread') };
  } catch {
    return null;
  }
}

/** Each message is read once; what is no such message is `null`. */
const taken = new WeakMap<StateMessage, unknown>();

function newest<W, T>(
  client: CourantClient,
  type: StateMessage['type'],
  take: (body: read.Raw<W>) => T,
): T | null {
  const message = client.pushed(type);
  if (message === null) return null;
  if (!taken.has(message)) {
    try {
      taken.set(message, take(message.body));
    } catch {
      taken.set(message, null);
    }
  }
  return taken.get(message) as T | null;
}

/** The queue as it is; `null` until `queue` or `admin` is watched and something came. */
export function queueStatus(client: CourantClient): Queue | null {
  return newest(client, 'queue-status', (body: read.Raw<wire.QueueStatus>) =>
    parts.queue(read.part(body, 'queue')),
  );
}

/** One's own devices that are connected, over all bridges; `null` until `devices` is watched and something came. */
export function devices(client: CourantClient): Devices | null {
  const { connection } = client;
  const own = connection.status === 'connected' ? connection.deviceId : null;
  return newest(client, 'devices', (body: read.Raw<wire.Devices>) => parts.devices(body, own));
}

/** Who came and who left between two states of `devices`. A page that is loaded anew does neither. */
export function comings(
  before: Devices,
  now: Devices,
): { readonly joined: readonly ConnectedDevice[]; readonly left: readonly ConnectedDevice[] } {
  const without = (some: Devices, others: Devices) => {
    const ids = new Set(others.devices.map(({ deviceId }) => deviceId));
    return some.devices.filter(({ deviceId }) => !ids.has(deviceId));
  };
  return { joined: without(now, before), left: without(before, now) };
}

/** The figures as they are, for admins who watch `admin`. */
export function systemMetrics(client: CourantClient): SystemMetrics | null {
  return newest(client, 'system-metrics', (body: read.Raw<wire.SystemMetrics>) =>
    parts.metrics(read.part(body, 'metrics')),
  );
}

/** All workers as they are, for admins who watch `admin`. */
export function workers(client: CourantClient): readonly Worker[] | null {
  return newest(client, 'workers', (body: read.Raw<wire.Workers>) =>
    read.list(body, 'workers', parts.worker),
  );
}

/** Who is connected, for admins who watch `admin`. */
export function connectionCounts(client: CourantClient): Connections | null {
  return newest(client, 'connections', (body: read.Raw<wire.ConnectionsStatus>) =>
    parts.connections(read.part(body, 'connections')),
  );
}

/** What was done lately, newest first, for admins who watch `admin`. */
export function auditTrail(client: CourantClient): readonly AuditEntry[] | null {
  return newest(client, 'audit', (body: read.Raw<wire.Audit>) =>
    [...read.list(body, 'entries', parts.entry)].sort((a, b) => b.number - a.number),
  );
}

/** All jobs of a batch as one, also those this client does not know. `owner` needs the role admin. */
export async function batch(client: CourantClient, batchId: string, owner?: string): Promise<Batch> {
  return batchIn(await client.request('GET', `v1/batches/${pathOf(batchId)}${queryOf(owner)}`));
}

/** Cancels all jobs of a batch that have not ended; each of them says so by itself. */
export async function cancelBatch(client: CourantClient, batchId: string, owner?: string): Promise<Batch> {
  return batchIn(await client.request('POST', `v1/batches/${pathOf(batchId)}:cancel${queryOf(owner)}`));
}

/** What one may submit, and has used of it. */
export async function quotas(client: CourantClient, owner?: string): Promise<readonly Quota[]> {
  const answer = await client.request('GET', `v1/quota${queryOf(owner)}`);
  return checked<wire.QuotaAnswer, readonly Quota[]>(answer, (from) =>
    read.list(from, 'quotas', parts.quota),
  );
}

/** Lets a worker take nothing new, or go on; for admins. */
export async function drainWorker(client: CourantClient, workerId: string, draining: boolean): Promise<void> {
  await client.request('POST', `v1/workers/${pathOf(workerId)}:${draining ? 'drain' : 'resume'}`);
}

const pathOf = encodeURIComponent;
const queryOf = (owner: string | undefined): string =>
  owner === undefined ? '' : `?${new URLSearchParams({ owner })}`;

function checked<W, T>(answer: unknown, take: (from: read.Raw<W>) => T): T {
  try {
    return take(read.object(answer, 'answer'));
  } catch (cause) {
    throw new CourantError('BAD_ANSWER', 'the server answered with something else than the protocol says', {
      cause,
    });
  }
}

const batchIn = (answer: unknown): Batch =>
  checked<wire.BatchAnswer, Batch>(answer, (from) => parts.batch(read.part(from, 'batch')));
