/** What the signed-in person was told and has read. The bridge keeps it: what is read on one device is read on all. */
import type { CourantClient, StateMessage } from '@courant/client';
import { type Notice, noticeIn } from '@courant/client/service';

const longest = 500;
const none: readonly Notice[] = [];

function newestFirst(a: Notice, b: Notice): number {
  if (a.createTime !== b.createTime) return a.createTime < b.createTime ? 1 : -1;
  return a.id < b.id ? 1 : -1;
}

export interface NoticesState {
  /** Newest first. */
  readonly list: readonly Notice[];
  readonly unread: number;
}

const empty: NoticesState = { list: none, unread: 0 };

/** The notices that came with a client. Needs the topic `notifications` to be watched. */
export class Notices {
  readonly #client: CourantClient;
  readonly #listeners = new Set<() => void>();
  #state: NoticesState = empty;

  constructor(client: CourantClient) {
    this.#client = client;
    client.onPushed((message) => this.#take(message));
  }

  readonly state = (): NoticesState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Marks one as read, or all; shown at once, and undone when the bridge refuses. */
  readonly read = async (id?: string): Promise<void> => {
    const before = this.#state;
    const readTime = new Date().toISOString();
    const list = before.list.map((each) =>
      each.readTime === null && (id === undefined || each.id === id) ? { ...each, readTime } : each,
    );
    this.#set({ list, unread: list.filter((each) => each.readTime === null).length });
    try {
      await this.#client.markRead(id === undefined ? [] : [id]);
    } catch (error) {
      this.#set(before);
      throw error;
    }
  };

  #take(message: StateMessage): void {
    const told = noticeIn(message);
    if (told === null) return;
    const others = this.#state.list.filter(({ id }) => id !== told.notice.id);
    this.#set({ list: [told.notice, ...others].sort(newestFirst).slice(0, longest), unread: told.unread });
  }

  #set(state: NoticesState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

const known = new WeakMap<CourantClient, Notices>();

export function noticesOf(client: CourantClient): Notices {
  const notices = known.get(client) ?? new Notices(client);
  known.set(client, notices);
  return notices;
}

export type { Notice };
