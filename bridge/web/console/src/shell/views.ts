/** The views that are loaded when they are needed, or when there is time: then they open without a network as well. */
import { lazy } from 'react';

const history = () => import('../history/HistoryPage.tsx');
const batch = () => import('../batch/BatchPage.tsx');
const queue = () => import('../queue/QueuePage.tsx');
const notifications = () => import('../notifications/NotificationsPage.tsx');
const webhooks = () => import('../webhooks/WebhooksPage.tsx');
const admin = () => import('../admin/AdminPage.tsx');

export const HistoryPage = lazy(history);
export const BatchPage = lazy(batch);
export const QueuePage = lazy(queue);
export const NotificationsPage = lazy(notifications);
export const WebhooksPage = lazy(webhooks);
export const AdminPage = lazy(admin);

/** Fetches what anybody may open; the system page is for few. Safari has no idle callback. */
export function prefetch(): () => void {
  const fetchAll = () => {
    for (const load of [queue, notifications, batch, history]) void load().catch(() => undefined);
  };
  if (!('requestIdleCallback' in globalThis)) {
    const timer = setTimeout(fetchAll, 3_000);
    return () => clearTimeout(timer);
  }
  const idle = requestIdleCallback(fetchAll, { timeout: 10_000 });
  return () => cancelIdleCallback(idle);
}
