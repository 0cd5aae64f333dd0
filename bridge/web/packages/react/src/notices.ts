/** What happened to one's jobs, to be read later: kept for each person in the browser, shared by its tabs. */
import type { CourantClient, JobEvent } from '@courant/client';

/** Something that happened, to be told and marked as read. */
export interface Notice {
  /** The same for the same happening, whichever tab hears of it. */
  readonly id: string;
  readonly type: 'job-completed' | 'job-failed';
  readonly time: string;
  readonly jobId: string;
  readonly filename: string;
  /** One sentence more: pages, or why it failed. */
  readonly text: string;
  readonly read: boolean;
}

const longest = 200;
const none: readonly Notice[] = [];

function isNotice(value: unknown): value is Notice {
  const from = value as Partial<Notice> | null;
  return typeof from === 'object' && typeof from?.id === 'string' && typeof from.filename === 'string';
}

function noticeOf(event: JobEvent): Notice | null {
  if (event.type !== 'job-completed' && event.type !== 'job-failed') return null;
  const { jobId, filename, revision, timestamp, pagesDone, error } = event.job;
  const text =
    event.type === 'job-failed'
      ? (error?.message ?? '')
      : `${pagesDone} ${pagesDone === 1 ? 'page' : 'pages'}`;
  return {
    id: `${jobId} ${revision}`,
    type: event.type,
    time: timestamp,
    jobId,
    filename,
    text,
    read: false,
  };
}

function browserStorage(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/** The notices of whoever is signed in with a client. Needs the topic `mine` to be watched. */
export class Notices {
  readonly #client: CourantClient;
  readonly #storage = browserStorage();
  readonly #listeners = new Set<() => void>();
  #owner: string | null = null;
  #list: readonly Notice[] = none;

  constructor(client: CourantClient) {
    this.#client = client;
    client.onConnection(() => this.#open());
    // Only `mine`: topics of single jobs tell the same again, and tell old news when they are replayed.
    client.onEvent((event) => {
      const notice = event.topic === 'mine' ? noticeOf(event) : null;
      if (notice) this.#add(notice);
    });
    globalThis.addEventListener?.('storage', (event) => {
      if (event.key === this.#key) this.#set(this.#stored());
    });
    this.#open();
  }

  readonly list = (): readonly Notice[] => this.#list;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Marks one as read, or all. */
  readonly read = (id?: string): void => {
    const marked = (each: Notice): Notice =>
      id === undefined || each.id === id ? { ...each, read: true } : each;
    this.#save(this.#stored().map(marked));
  };

  readonly clear = (): void => this.#save(none);

  #open(): void {
    const { connection } = this.#client;
    if (connection.status !== 'connected' || connection.user === this.#owner) return;
    this.#owner = connection.user;
    this.#set(this.#stored());
  }

  #add(notice: Notice): void {
    const before = this.#stored();
    if (!before.some(({ id }) => id === notice.id)) this.#save([notice, ...before].slice(0, longest));
  }

  get #key(): string {
    return `courant.notices ${this.#owner}`;
  }

  #stored(): readonly Notice[] {
    try {
      const text = this.#storage?.getItem(this.#key);
      if (text == null) return this.#storage === null ? this.#list : none;
      const from: unknown = JSON.parse(text);
      return Array.isArray(from) ? from.filter(isNotice) : none;
    } catch {
      return this.#list;
    }
  }

  #save(list: readonly Notice[]): void {
    try {
      this.#storage?.setItem(this.#key, JSON.stringify(list));
    } catch {
      // Without storage they last until a reload.
    }
    this.#set(list);
  }

  #set(list: readonly Notice[]): void {
    this.#list = list;
    for (const listener of this.#listeners) listener();
  }
}

const known = new WeakMap<CourantClient, Notices>();

export function noticesOf(client: CourantClient): Notices {
  const notices = known.get(client) ?? new Notices(client);
  known.set(client, notices);
  return notices;
}
