/** Cursors that outlive the page, in a storage of the caller's choice. One that fails is as good as none. */

/** The part of `Storage` that is needed; `localStorage` and `sessionStorage` have it. */
export type CursorStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export class Cursors {
  readonly #storage: CursorStorage | undefined;
  /** Whose cursors they are; `null` while nobody is known. */
  readonly #scope: () => string | null;

  constructor(storage: CursorStorage | undefined, scope: () => string | null) {
    this.#storage = storage;
    this.#scope = scope;
  }

  recall(topic: string): string | null {
    return this.#do(topic, (storage, key) => storage.getItem(key)) ?? null;
  }

  keep(topic: string, cursor: string): void {
    this.#do(topic, (storage, key) => storage.setItem(key, cursor));
  }

  forget(topic: string): void {
    this.#do(topic, (storage, key) => storage.removeItem(key));
  }

  #do<T>(topic: string, run: (storage: CursorStorage, key: string) => T): T | undefined {
    const scope = this.#scope();
    if (this.#storage === undefined || scope === null) return undefined;
    try {
      return run(this.#storage, `courant.cursor ${scope} ${topic}`);
    } catch {
      // Full or switched off: after a reload the topic begins with snapshots.
      return undefined;
    }
  }
}
