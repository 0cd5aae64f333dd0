import type { Job } from '@courant/client';

/** Waits in the lane of large documents, after its pages were counted. Nothing went wrong. */
export function movedLane({ state, error }: Pick<Job, 'state' | 'error'>): boolean {
  return state === 'queued' && error?.code === 'LARGE_DOCUMENT';
}
