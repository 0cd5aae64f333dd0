/**
 * What the topics `queue`, `devices`, `admin` and `notifications` push, and what the bridge says of batches and quotas, checked and
 * typed: `@courant/client/service`. Beside the client and not in it, since most pages need none of it.
 */
import { checked } from './checked.ts';
import type { CourantClient } from './client.ts';
import type { StateMessage } from './messages.ts';
import type { Json } from './read.ts';
import * as readers from './readers.generated.ts';
import type {
  AuditEntry,
  Batch,
  ConnectedDevice,
  Connections,
  Devices,
  Notification,
  Queue,
  Quota,
  SystemMetrics,
  Worker,
} from './service-types.ts';

export * from './service-types.ts';

/** The notification in a message, and how many are unread now; `null` when the message is another one. */
export function notificationIn(
  message: StateMessage,
): { readonly notification: Notification; readonly unread: number } | null {
  if (message.type !== 'notification') return null;
  try {
    return readers.readNotificationEvent(message.body, message.type);
  } catch {
    return null;
  }
}

/** What was read of a message, so that it is read once; `null` when it was not what the protocol says. */
const readAlready = new WeakMap<StateMessage, unknown>();

function newest<T>(client: CourantClient, type: StateMessage['type'], take: (body: Json) => T): T | null {
  const message = client.pushed(type);
  if (message === null) return null;
  if (!readAlready.has(message)) {
    try {
      readAlready.set(message, take(message.body));
    } catch {
      readAlready.set(message, null);
    }
  }
  return readAlready.get(message) as T | null;
}

/** The queue as it is; `null` until `queue` or `admin` is watched and something came. */
export function queueStatus(client: CourantClient): Queue | null {
  return newest(client, 'queue-status', (body) => readers.readQueueStatus(body, 'message').queue);
}

/** One's own devices that are connected, over all bridges; `null` until `devices` is watched and something came. */
export function devices(client: CourantClient): Devices | null {
  const { connection } = client;
  const own = connection.status === 'connected' ? connection.deviceId : null;
  return newest(client, 'devices', (body) => {
    const { devices, complete } = readers.readDevices(body, 'message');
    return { devices: devices.map((device) => ({ ...device, current: device.deviceId === own })), complete };
  });
}

/** Which devices connected and disconnected between two states of `devices`. A page reload does neither. */
export function deviceChanges(
  before: Devices,
  now: Devices,
): { readonly joined: readonly ConnectedDevice[]; readonly left: readonly ConnectedDevice[] } {
  const without = (some: Devices, others: Devices) => {
    const ids = new Set(others.devices.map(({ deviceId }) => deviceId));
    return some.devices.filter(({ deviceId }) => !ids.has(deviceId));
  };
  return { joined: without(now, before), left: without(before, now) };
}

/** The statistics as they are, for admins who watch `admin`. */
export function systemMetrics(client: CourantClient): SystemMetrics | null {
  return newest(client, 'system-metrics', (body) => readers.readSystemMetrics(body, 'message').metrics);
}

/** All workers as they are, for admins who watch `admin`. */
export function workers(client: CourantClient): readonly Worker[] | null {
  return newest(client, 'workers', (body) => readers.readWorkers(body, 'message').workers);
}

/** Who is connected, for admins who watch `admin`. */
export function connectionCounts(client: CourantClient): Connections | null {
  return newest(client, 'connections', (body) => readers.readConnectionsStatus(body, 'message').connections);
}

/** What was done lately, newest first, for admins who watch `admin`. */
export function auditTrail(client: CourantClient): readonly AuditEntry[] | null {
  return newest(client, 'audit', (body) =>
    [...readers.readAudit(body, 'message').entries].sort((a, b) => b.number - a.number),
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
  return checked(answer, readers.readQuotaAnswer).quotas;
}

/** Lets a worker take nothing new, or go on; for admins. */
export async function drainWorker(client: CourantClient, workerId: string, draining: boolean): Promise<void> {
  await client.request('POST', `v1/workers/${pathOf(workerId)}:${draining ? 'drain' : 'resume'}`);
}

const pathOf = encodeURIComponent;
const queryOf = (owner: string | undefined): string =>
  owner === undefined ? '' : `?${new URLSearchParams({ owner })}`;

const batchIn = (answer: unknown): Batch => checked(answer, readers.readBatchAnswer).batch;
