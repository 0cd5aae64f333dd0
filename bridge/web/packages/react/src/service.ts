/** Hooks for what the whole service is doing. What they show is pushed; until something came they give `null`. */

import type { CourantClient, StateTopic } from '@courant/client';
import {
  type AuditEntry,
  auditTrail,
  type Connections,
  connectionCounts,
  type Devices,
  devices,
  type Queue,
  queueStatus,
  type SystemMetrics,
  systemMetrics,
  type Worker,
  workers,
} from '@courant/client/service';
import { useCallback, useSyncExternalStore } from 'react';
import { useCourant } from './context.ts';
import { useWatch } from './hooks.ts';

function usePushed<T>(topic: StateTopic, read: (client: CourantClient) => T | null): T | null {
  const client = useCourant();
  useWatch(topic);
  const subscribe = useCallback((changed: () => void) => client.onPushed(changed), [client]);
  return useSyncExternalStore(
    subscribe,
    () => read(client),
    () => null,
  );
}

/** What waits in which lane, how long, and who works. */
export function useQueueStatus(): Queue | null {
  return usePushed('queue', queueStatus);
}

/** The signed-in person's devices that are connected now. */
export function useDevices(): Devices | null {
  return usePushed('devices', devices);
}

/** Figures of the server, for admins. */
export function useSystemMetrics(): SystemMetrics | null {
  return usePushed('admin', systemMetrics);
}

/** All workers, for admins. */
export function useWorkers(): readonly Worker[] | null {
  return usePushed('admin', workers);
}

/** Who is connected to the bridge, for admins. */
export function useConnectionCounts(): Connections | null {
  return usePushed('admin', connectionCounts);
}

/** What was done lately, newest first, for admins. */
export function useAuditTrail(): readonly AuditEntry[] | null {
  return usePushed('admin', auditTrail);
}
