/** Answers of HTTP calls, checked. */
import { CourantError } from './errors.ts';
import type { Reader } from './read.ts';

/** What was read of an answer; an error when it is not what the protocol says. */
export function checked<T>(answer: unknown, read: Reader<T>): T {
  try {
    return read(answer, 'answer');
  } catch (cause) {
    throw new CourantError('BAD_ANSWER', 'the server answered with something else than the protocol says', {
      cause,
    });
  }
}
