'use client';

/** `@courant/react/components`: complete, accessible, and without a style of their own; `data-courant` names the parts. */
export { CourantErrorBoundary, type ErrorBoundaryProps } from './boundary.tsx';
export { JobProgress, type JobProgressProps } from './job.tsx';
export {
  NotificationItems,
  type NotificationItemsProps,
  NotificationList,
  type NotificationListProps,
} from './notifications.tsx';
export { PasswordForm, type PasswordFormProps } from './password.tsx';
export {
  AdminDashboard,
  ConnectionStatus,
  QueueStatus,
  UnservedKinds,
  type UnservedKindsProps,
} from './service.tsx';
export type { Slot } from './slots.ts';
