'use client';

/** `@courant/react/components`: complete, accessible, and without a style of their own; `data-courant` names the parts. */
export { CourantErrorBoundary, type ErrorBoundaryProps } from './boundary.tsx';
export { JobProgress, type JobProgressProps } from './job.tsx';
export { NotificationList, type NotificationListProps } from './notifications.tsx';
export { AdminDashboard, ConnectionStatus, QueueStatus } from './service.tsx';
