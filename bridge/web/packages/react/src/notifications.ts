import { useMemo, useSyncExternalStore } from 'react';
import { useCourant } from './context.ts';
import { useWatch } from './hooks.ts';
import { type NoticesState, noticesOf } from './notices.ts';

/** What one was told, newest first, and what can be done with it. */
export interface Notifications extends NoticesState {
  /** Marks one as read, or all, on every device. Rejects with a `CourantError`. */
  readonly read: (id?: string) => Promise<void>;
}

const onServer: NoticesState = { list: [], unread: 0, hasOlder: false };

/** Jobs that ended, and what the service has to say; what is read on one device is read on all. */
export function useNotifications(): Notifications {
  const notices = noticesOf(useCourant());
  useWatch('notifications');
  const state = useSyncExternalStore(notices.subscribe, notices.state, () => onServer);
  return useMemo(() => ({ ...state, read: notices.read }), [state, notices]);
}
