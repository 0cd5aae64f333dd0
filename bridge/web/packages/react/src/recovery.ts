/** What can help a job that did not succeed. Most permanent failures are the document's: trying again changes nothing. */
import type { Job } from '@courant/client';

export type Recovery =
  /** Trying again can help. */
  | 'retry'
  /** It needs its password, or another one. */
  | 'password'
  /** Only another document can help. */
  | 'new-document'
  /** Another document, or trying again once somebody has changed the limits or the set-up of the server. */
  | 'change';

const passwordCodes = new Set(['PASSWORD_REQUIRED', 'WRONG_PASSWORD']);
/** Nothing outside of the document can mend these. */
const documentCodes = new Set(['NOT_A_PDF', 'DAMAGED_DOCUMENT', 'NO_PAGES']);

/** `null` while the job goes on, and when it succeeded. */
export function recoveryOf({ error, state }: Pick<Job, 'error' | 'state'>): Recovery | null {
  if (state === 'cancelled') return 'retry';
  if (state !== 'failed') return null;
  if (error === null) return 'retry';
  if (passwordCodes.has(error.code)) return 'password';
  if (error.retryable) return 'retry';
  return documentCodes.has(error.code) ? 'new-document' : 'change';
}
