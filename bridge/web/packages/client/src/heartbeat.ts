/** Finds out that a connection is dead although nobody closed it, and measures the round trip on the way. */
import { Timer } from './timer.ts';

export interface HeartbeatHandlers {
  readonly sendPing: (id: number) => void;
  readonly onDead: () => void;
  readonly onLatency: (ms: number) => void;
}

export class Heartbeat {
  readonly #handlers: HeartbeatHandlers;
  readonly #silence = new Timer();
  readonly #deadline = new Timer();
  #intervalMs = 25_000;
  #timeoutMs = 8_000;
  #sent: { readonly id: number; readonly at: number } | null = null;
  #nextId = 1;

  constructor(handlers: HeartbeatHandlers) {
    this.#handlers = handlers;
  }

  /** Begins, with a first ping at once so that a latency is known early. */
  start(intervalMs: number, timeoutMs: number): void {
    this.#intervalMs = Math.max(1000, intervalMs);
    this.#timeoutMs = Math.max(1000, timeoutMs);
    this.probe();
  }

  stop(): void {
    this.#silence.clear();
    this.#deadline.clear();
    this.#sent = null;
  }

  /** Asks now, for example when a tab shows again after hours of sleep. */
  probe(): void {
    if (this.#deadline.pending) return;
    const id = this.#nextId++;
    this.#sent = { id, at: performance.now() };
    this.#handlers.sendPing(id);
    this.#deadline.set(this.#timeoutMs, () => this.#handlers.onDead());
    this.#silence.set(this.#intervalMs, () => this.probe());
  }

  /** Anything at all came: the connection lives. */
  onMessage(): void {
    this.#deadline.clear();
  }

  pong(id: number | null): void {
    if (this.#sent === null || id !== this.#sent.id) return;
    this.#deadline.clear();
    this.#handlers.onLatency(Math.round(performance.now() - this.#sent.at));
    this.#sent = null;
  }
}
