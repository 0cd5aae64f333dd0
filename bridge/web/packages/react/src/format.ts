/**
 * `@courant/react/format`: numbers, jobs and connections in words, as the components say them. No hooks: also for code that runs
 * on a server.
 */
import {
  type ConnectionState,
  CourantError,
  isFinished,
  type Job,
  type JobState,
  type TransportName,
} from '@courant/client';
import type { QueueLane } from '@courant/client/service';
import type { Recovery } from './recovery.ts';

/** `0.8 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 0.05) return '0 s';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** The same in whole seconds, for a duration that counts up or down and must not flicker. */
export function formatWholeSeconds(seconds: number): string {
  return seconds < 60 ? `${Math.max(0, Math.round(seconds))} s` : formatDuration(seconds);
}

/** `1 page`, `1,204 pages`. */
export function formatCount(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}

export function sentenceCase(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A failure as one sentence. */
export function errorMessage(error: unknown): string {
  if (error instanceof CourantError) return sentenceCase(error.message);
  return error instanceof Error ? error.message : String(error);
}

export const jobStateNames: Record<JobState, string> = {
  queued: 'Queued',
  running: 'Running',
  cancelling: 'Cancelling',
  succeeded: 'Succeeded',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

/** Whether a job waits in the lane of large documents after its pages were counted: it is no failure, though it has an `error`. */
export function isMovedToLargeLane({ state, error }: Pick<Job, 'state' | 'error'>): boolean {
  return state === 'queued' && error?.code === 'LARGE_DOCUMENT';
}

/** What a job is doing now: its position in the queue, or its operation. Empty once it has ended. */
export function jobActivity(job: Job): string {
  if (isFinished(job)) return '';
  if (job.state === 'queued' && job.queuePosition !== null) {
    return job.queuePosition === 1 ? 'Next in the queue' : `Position ${job.queuePosition} in the queue`;
  }
  return isMovedToLargeLane(job) ? 'Waiting' : job.operation;
}

/**
 * `starts in about 12 s` or `about 4 s left`; `null` when neither is known. `receivedAgo`: seconds since the job was received, for
 * an estimate that counts down.
 */
export function jobEstimate(job: Job, receivedAgo = 0): string | null {
  const left = (estimate: number) => formatWholeSeconds(Math.max(1, estimate - receivedAgo));
  if (isFinished(job)) return null;
  if (job.state === 'queued') {
    return job.estimatedWait === null ? null : `starts in about ${left(job.estimatedWait)}`;
  }
  return job.estimatedTimeRemaining === null ? null : `about ${left(job.estimatedTimeRemaining)} left`;
}

/** The text of a progress bar for screen readers. */
export function jobProgressText(job: Job): string {
  return `${Math.floor(job.progress)} %, ${isFinished(job) ? jobStateNames[job.state] : job.operation}`;
}

/** What to tell a user whose job did not succeed; see `recoveryOf`. */
export const recoveryAdvice: Record<Recovery, string> = {
  retry: 'Retrying may help; finished pages are kept.',
  password: 'The document is locked. Enter its password.',
  'new-document': 'Retrying cannot help: the document itself has to change.',
  change: 'Retrying gives the same result, unless an operator has changed a limit or a setting since.',
};

/** How long a new job of this lane will wait, with the band that most jobs fall into. */
export function estimatedWaitText({ estimatedWait, estimatedWaitBand: band }: QueueLane): string {
  if (estimatedWait === null) return 'not known yet';
  if (estimatedWait < 1) return 'none';
  const wait = formatDuration(estimatedWait);
  return band === null ? wait : `${wait} (${formatDuration(band.low)} to ${formatDuration(band.high)})`;
}

export const transportNames: Record<TransportName, string> = {
  websocket: 'WebSocket',
  sse: 'event stream',
  polling: 'polling',
};

export interface ConnectionDescription {
  /** One or two words. */
  readonly label: string;
  /** A sentence: what it means, or why it is so. */
  readonly text: string;
  /** `wait`: it mends itself. */
  readonly tone: 'good' | 'wait' | 'bad';
}

export function describeConnection(state: ConnectionState): ConnectionDescription {
  switch (state.status) {
    case 'connected':
      return state.stalled
        ? {
            label: 'Delayed',
            text: 'The server is unavailable. Updates are delayed; none is lost.',
            tone: 'wait',
          }
        : { label: 'Live', text: 'Everything you see is up to date.', tone: 'good' };
    case 'connecting':
      return {
        label: state.attempt === 0 ? 'Connecting' : 'Reconnecting',
        text: 'Trying to reach the server.',
        tone: 'wait',
      };
    case 'reconnecting':
      return { label: 'Reconnecting', text: `${sentenceCase(state.cause.message)}.`, tone: 'wait' };
    case 'offline':
      return { label: 'Offline', text: 'This device has no network.', tone: 'bad' };
    case 'failed':
      return { label: 'Not connected', text: `${sentenceCase(state.message)}.`, tone: 'bad' };
    case 'disconnected':
      return { label: 'Not connected', text: 'The connection was ended.', tone: 'bad' };
  }
}
