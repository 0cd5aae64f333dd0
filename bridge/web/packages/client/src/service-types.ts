/** What the whole service is doing, as it is given out by `service.ts`. */
import type { ShownDevice } from './wire.generated.ts';

export {
  type AllBridges,
  type AuditEntry,
  type Band,
  type Batch,
  type BridgeConnections,
  type Connections,
  type Count,
  type Notification,
  type Queue,
  type QueueLane,
  type Quota,
  type Severity,
  type Statistics as SystemMetrics,
  severities,
  type Worker,
  type WorkerJob,
} from './wire.generated.ts';

/** One of the signed-in user's devices that is connected now. */
export interface ConnectedDevice extends ShownDevice {
  /** It is this one. */
  readonly current: boolean;
}

/** The signed-in user's devices that are connected now. */
export interface Devices {
  /** Those that have been connected longest first. */
  readonly devices: readonly ConnectedDevice[];
  /** `false`: those connected to other bridges are not known at the moment. */
  readonly complete: boolean;
}
