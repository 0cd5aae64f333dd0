/** What went wrong with a command or an HTTP call, with the code of PROTOCOL.md, section 7. */
import { isObject } from './read.ts';

export interface CourantErrorOptions {
  /** The HTTP status, when there was one. */
  readonly status?: number;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** Every failure this package reports. `code` is for programs, `message` for people. */
export class CourantError extends Error {
  override readonly name = 'CourantError';
  readonly code: string;
  readonly status: number | null;
  /** Whether trying again can help. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;

  constructor(code: string, message: string, options: CourantErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? null;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** Whether only a new token helps. */
  get isAuth(): boolean {
    return this.status === 401 || this.code.startsWith('TOKEN_');
  }
}

/** The error a `problem+json` body describes; a plain one when a proxy answered instead of the bridge. */
export function problem(status: number, body: string, retryAfter: string | null): CourantError {
  const seconds = Number(retryAfter);
  const wait = retryAfter !== null && Number.isFinite(seconds) ? { retryAfterMs: seconds * 1000 } : {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    parsed = null;
  }
  if (isObject(parsed) && typeof parsed['code'] === 'string') {
    const detail = parsed['detail'] ?? parsed['title'];
    const message = typeof detail === 'string' ? detail : `the server answered ${status}`;
    return new CourantError(parsed['code'], message, {
      status,
      retryable: parsed['retryable'] === true,
      ...wait,
    });
  }
  const message =
    status === 413
      ? 'the file is larger than the server allows'
      : `the server answered ${status} without a reason`;
  return new CourantError(`HTTP_${status}`, message, { status, retryable: status >= 500, ...wait });
}
