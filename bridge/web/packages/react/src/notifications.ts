import { useMemo, useSyncExternalStore } from 'react';
import { useCourant } from './context.ts';
import { useWatch } from './hooks.ts';
import { type NotificationsState, notificationStoreOf } from './notification-store.ts';

/** The notifications of the signed-in user, newest first. */
export interface Notifications extends NotificationsState {
  /** Marks one as read, or all, on every device. Rejects with a `CourantError`. */
  readonly markRead: (id?: string) => Promise<void>;
}

const onServer: NotificationsState = { list: [], unread: 0, hasOlder: false };

/** Jobs that ended, and what the service has to say; what is read on one device is read on all. */
export function useNotifications(): Notifications {
  const notifications = notificationStoreOf(useCourant());
  useWatch('notifications');
  const state = useSyncExternalStore(notifications.subscribe, notifications.state, () => onServer);
  return useMemo(() => ({ ...state, markRead: notifications.markRead }), [state, notifications]);
}
