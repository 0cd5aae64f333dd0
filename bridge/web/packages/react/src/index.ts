'use client';

/** `@courant/react`: `@courant/client` as React hooks. Components are in `@courant/react/components`. */
export { CourantProvider, useCourant } from './context.ts';
export { type Jobs, useConnection, useJob, useJobs, useTopic, useWatch } from './hooks.ts';
export { type JobActions, useJobActions } from './job-actions.ts';
export {
  type Notification,
  NotificationStore,
  type NotificationsState,
  notificationStoreOf,
} from './notification-store.ts';
export { type Notifications, useNotifications } from './notifications.ts';
export { type Recovery, recoveryOf } from './recovery.ts';
export {
  useAuditTrail,
  useConnectionCounts,
  useDevices,
  useQueueStatus,
  useSystemMetrics,
  useWorkers,
} from './service.ts';
