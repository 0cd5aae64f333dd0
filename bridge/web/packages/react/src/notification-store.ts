/** The notifications of the signed-in user. The bridge keeps it: what is read on one device is read on all. */
import type { CourantClient, StateMessage } from '@courant/client';
import { type Notification, notificationIn } from '@courant/client/service';

const longest = 500;
/** So many the topic begins with; older ones that are kept are not sent. */
const newest = 200;
const none: readonly Notification[] = [];

function newestFirst(a: Notification, b: Notification): number {
  if (a.createTime !== b.createTime) return a.createTime < b.createTime ? 1 : -1;
  return a.id < b.id ? 1 : -1;
}

export interface NotificationsState {
  /** Newest first. */
  readonly list: readonly Notification[];
  /** Of all that are kept, also those that are not in the list. */
  readonly unread: number;
  /** There may be older ones that are not in the list: the bridge gives out the newest 200 only. */
  readonly hasOlder: boolean;
}

const empty: NotificationsState = { list: none, unread: 0, hasOlder: false };

/** The notifications that came with a client. Needs the topic `notifications` to be watched. */
export class NotificationStore {
  readonly #client: CourantClient;
  readonly #listeners = new Set<() => void>();
  #state: NotificationsState = empty;

  constructor(client: CourantClient) {
    this.#client = client;
    client.onPushed((message) => this.#take(message));
  }

  readonly state = (): NotificationsState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Marks one as read, or all; shown at once, and undone when the bridge refuses. */
  readonly markRead = async (id?: string): Promise<void> => {
    const before = this.#state;
    const readTime = new Date().toISOString();
    const list = before.list.map((each) =>
      each.readTime === null && (id === undefined || each.id === id) ? { ...each, readTime } : each,
    );
    const marked = list.filter((each, at) => each !== before.list[at]).length;
    const unread = id === undefined ? 0 : Math.max(0, before.unread - marked);
    this.#set({ ...before, list, unread });
    try {
      await this.#client.markRead(id === undefined ? [] : [id]);
    } catch (error) {
      this.#set(before);
      throw error;
    }
  };

  #take(message: StateMessage): void {
    const update = notificationIn(message);
    if (update === null) return;
    const others = this.#state.list.filter(({ id }) => id !== update.notification.id);
    const list = [update.notification, ...others].sort(newestFirst).slice(0, longest);
    this.#set({ list, unread: update.unread, hasOlder: list.length >= newest });
  }

  #set(state: NotificationsState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

const known = new WeakMap<CourantClient, NotificationStore>();

export function notificationStoreOf(client: CourantClient): NotificationStore {
  const notifications = known.get(client) ?? new NotificationStore(client);
  known.set(client, notifications);
  return notifications;
}

export type { Notification };
