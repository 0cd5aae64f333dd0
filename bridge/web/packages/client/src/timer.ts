/** One pending timeout at a time; setting it again replaces the former. */
const longest = 2 ** 31 - 1;

export class Timer {
  #handle: ReturnType<typeof setTimeout> | null = null;

  set(ms: number, run: () => void): void {
    this.clear();
    this.#handle = setTimeout(
      () => {
        this.#handle = null;
        run();
      },
      Math.min(Math.max(0, ms), longest),
    );
  }

  clear(): void {
    if (this.#handle !== null) clearTimeout(this.#handle);
    this.#handle = null;
  }

  get pending(): boolean {
    return this.#handle !== null;
  }
}
