/** What happened to one's jobs, to be read later: kept for each person, shared by all tabs, read in one is read in all. */
import { useSyncExternalStore } from 'react';

export interface Notice {
  /** The same for the same happening, whoever hears of it. */
  readonly id: string;
  readonly time: string;
  readonly tone: 'good' | 'bad' | 'plain';
  readonly title: string;
  readonly text: string;
  readonly href: string | null;
  readonly read: boolean;
}

const longest = 200;
const none: readonly Notice[] = [];

function isNotice(value: unknown): value is Notice {
  const from = value as Partial<Notice> | null;
  return typeof from === 'object' && typeof from?.id === 'string' && typeof from.title === 'string';
}

export class Notices {
  readonly #listeners = new Set<() => void>();
  #owner: string | null = null;
  #list: readonly Notice[] = none;

  constructor() {
    addEventListener('storage', (event) => {
      if (event.key === this.#key) this.#set(this.#stored());
    });
  }

  /** Whose notices they are. */
  open(owner: string): void {
    if (owner === this.#owner) return;
    this.#owner = owner;
    this.#set(this.#stored());
  }

  add(notice: Omit<Notice, 'read'>): boolean {
    const now = this.#stored();
    if (now.some(({ id }) => id === notice.id)) return false;
    this.#save([{ ...notice, read: false }, ...now].slice(0, longest));
    return true;
  }

  /** Marks one as read, or all. */
  read(id?: string): void {
    this.#save(
      this.#stored().map((each) => (id === undefined || each.id === id ? { ...each, read: true } : each)),
    );
  }

  clear(): void {
    this.#save(none);
  }

  readonly list = (): readonly Notice[] => this.#list;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  get #key(): string {
    return `courant.notices ${this.#owner}`;
  }

  #stored(): readonly Notice[] {
    try {
      const from: unknown = JSON.parse(localStorage.getItem(this.#key) ?? '[]');
      return Array.isArray(from) ? from.filter(isNotice) : none;
    } catch {
      return this.#list;
    }
  }

  #save(list: readonly Notice[]): void {
    try {
      localStorage.setItem(this.#key, JSON.stringify(list));
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

export const notices = new Notices();

export function useNotices(): readonly Notice[] {
  return useSyncExternalStore(notices.subscribe, notices.list);
}
