/** What is to be done at a later time. What is due at about the same time is given out together. */
import { Timer } from './timer.ts';

/** What is due within this time after the first is done with it. */
const togetherMs = 50;

export class DelayQueue<T> {
  readonly #times = new Map<T, number>();
  readonly #timer = new Timer();
  readonly #run: (due: readonly T[]) => void;

  constructor(run: (due: readonly T[]) => void) {
    this.#run = run;
  }

  set(item: T, ms: number): void {
    this.#times.set(item, performance.now() + ms);
    this.#arm();
  }

  has(item: T): boolean {
    return this.#times.has(item);
  }

  delete(item: T): void {
    if (this.#times.delete(item)) this.#arm();
  }

  /** All that wait. */
  all(): readonly T[] {
    return [...this.#times.keys()];
  }

  clear(): void {
    this.#times.clear();
    this.#timer.clear();
  }

  #arm(): void {
    this.#timer.clear();
    if (this.#times.size === 0) return;
    const first = Math.min(...this.#times.values());
    this.#timer.set(first - performance.now(), () => {
      const due = this.all().filter((item) => (this.#times.get(item) ?? 0) <= first + togetherMs);
      for (const item of due) this.#times.delete(item);
      this.#arm();
      this.#run(due);
    });
  }
}
