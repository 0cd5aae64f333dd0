/** Commands and their replies, matched by `id`. Commands given while offline wait here and are sent later. */
import { CourantError } from './errors.ts';
import type { Reply } from './messages.ts';

/** A command without its `id`. */
export type Command = { readonly type: string; readonly [field: string]: unknown };

/** What to do with a command whose reply had not come when the connection was lost. */
export type OnLoss = 'send-again' | 'reject';

interface Pending {
  readonly command: Command;
  readonly onLoss: OnLoss;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: CourantError) => void;
}

/** So many commands may wait; more are refused with `QUEUE_FULL`, so that a page left offline does not grow. */
export const maxWaiting = 1000;

export class Commands {
  readonly #send: (command: object) => boolean;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(send: (command: object) => boolean) {
    this.#send = send;
  }

  /** Sends a command now, or when the connection is ready. Rejects with a `CourantError`. */
  request(command: Command, onLoss: OnLoss = 'send-again'): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= maxWaiting) {
        reject(
          new CourantError('QUEUE_FULL', 'too many commands wait for the connection', { retryable: true }),
        );
        return;
      }
      const id = this.#nextId++;
      this.#pending.set(id, { command, onLoss, resolve, reject });
      const sent = this.#send({ id, ...command });
      if (!sent && onLoss === 'reject') this.#drop(id);
    });
  }

  /** The connection is ready: sends what waited, oldest first. */
  ready(): void {
    for (const [id, { command }] of this.#pending) this.#send({ id, ...command });
  }

  /** The connection was lost. */
  lost(): void {
    for (const [id, { onLoss }] of this.#pending) if (onLoss === 'reject') this.#drop(id);
  }

  /** The client is closed for good. */
  close(): void {
    for (const id of this.#pending.keys()) this.#drop(id);
  }

  reply(reply: Reply): void {
    if (reply.id === null) return;
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#pending.delete(reply.id);
    if (reply.type !== 'error') {
      pending.resolve(reply);
      return;
    }
    const { code, message, retryable, retryAfterMs } = reply;
    pending.reject(
      new CourantError(code, message, { retryable, ...(retryAfterMs === null ? {} : { retryAfterMs }) }),
    );
  }

  #drop(id: number): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.reject(new CourantError('CONNECTION_LOST', 'the connection was lost', { retryable: true }));
  }
}
