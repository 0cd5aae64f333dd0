import { useMemo, useSyncExternalStore } from 'react';
import { useCourant } from './context.ts';
import { useWatch } from './hooks.ts';
import { type Notice, noticesOf } from './notices.ts';

/** What happened, newest first, and what can be done with it. */
export interface Notifications {
  readonly list: readonly Notice[];
  readonly unread: number;
  /** Marks one as read, or all. */
  readonly read: (id?: string) => void;
  readonly clear: () => void;
}

const none: readonly Notice[] = [];

/** Jobs that are done or failed, kept until they are cleared; what is read in one tab is read in all. */
export function useNotifications(): Notifications {
  const notices = noticesOf(useCourant());
  useWatch('mine');
  const list = useSyncExternalStore(notices.subscribe, notices.list, () => none);
  return useMemo(
    () => ({
      list,
      unread: list.filter(({ read }) => !read).length,
      read: notices.read,
      clear: notices.clear,
    }),
    [list, notices],
  );
}
