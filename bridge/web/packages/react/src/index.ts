'use client';

/** `@courant/react`: `@courant/client` as React hooks. Components are in `@courant/react/components`. */
export { CourantProvider, useCourant } from './context.ts';
export { type Jobs, useConnection, useJob, useJobs, useTopic, useWatch } from './hooks.ts';
export { type Notice, Notices, type NoticesState, noticesOf } from './notices.ts';
export { type Notifications, useNotifications } from './notifications.ts';
export { type Remedy, remedyOf } from './remedy.ts';
export {
  useAuditTrail,
  useConnectionCounts,
  useDevices,
  useQueueStatus,
  useSystemMetrics,
  useWorkers,
} from './service.ts';
