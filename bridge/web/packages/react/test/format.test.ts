import type { ConnectionState } from '@courant/client';
import { describe, expect, it } from 'vitest';
import { accepted, job } from '../../client/test/harness.ts';
import {
  describeConnection,
  errorMessage,
  estimatedWaitText,
  formatCount,
  formatDuration,
  formatWholeSeconds,
  jobActivity,
  jobEstimate,
  jobProgressText,
} from '../src/format.ts';

describe('words', () => {
  it('for numbers', () => {
    expect([0, 0.8, 9.96, 59.7, 185, 7800].map(formatDuration)).toEqual([
      '0 s',
      '0.8 s',
      '10 s',
      '1 min 00 s',
      '3 min 05 s',
      '2 h 10 min',
    ]);
    expect([-1, 0.8, 59.4, 185].map(formatWholeSeconds)).toEqual(['0 s', '1 s', '59 s', '3 min 05 s']);
    expect([formatCount(1, 'page'), formatCount(1204, 'page'), formatCount(2, 'person', 'people')]).toEqual([
      '1 page',
      '1,204 pages',
      '2 people',
    ]);
    expect(errorMessage('no')).toBe('no');
  });

  it('for a job: its position and its estimate, which counts down', () => {
    const queued = job({ state: 'queued', queuePosition: 3, estimatedWait: 12, operation: 'Waiting' });
    expect(jobActivity(queued)).toBe('Position 3 in the queue');
    expect(jobActivity({ ...queued, queuePosition: 1 })).toBe('Next in the queue');
    expect(jobEstimate(queued, 4)).toBe('starts in about 8 s');
    expect(jobEstimate(queued, 60)).toBe('starts in about 1 s');
    const error = { code: 'LARGE_DOCUMENT', message: 'large', retryable: true };
    expect(jobActivity({ ...queued, queuePosition: null, operation: 'Retrying', error })).toBe('Waiting');
    expect(jobActivity(job({ state: 'succeeded', operation: 'Done' }))).toBe('');
    expect(jobProgressText(job({ state: 'succeeded', progress: 100, operation: 'Done' }))).toBe(
      '100 %, Succeeded',
    );
    expect(jobEstimate(job({ estimatedTimeRemaining: 4.2 }))).toBe('about 4 s left');
    expect(jobEstimate(job({ state: 'succeeded', estimatedTimeRemaining: 4.2 }))).toBeNull();
  });

  it('for the wait in a lane', () => {
    const lane = {
      kind: 'pdf',
      lane: 'normal',
      waiting: 3,
      delayed: 0,
      active: 1,
      pagesWaiting: 9,
      averageWait: null,
      oldestWait: null,
      share: 1,
    };
    const band = { low: 15, high: 31 };
    expect(estimatedWaitText({ ...lane, estimatedWait: null, estimatedWaitBand: null })).toBe(
      'not known yet',
    );
    expect(estimatedWaitText({ ...lane, estimatedWait: 0.2, estimatedWaitBand: band })).toBe('none');
    expect(estimatedWaitText({ ...lane, estimatedWait: 20, estimatedWaitBand: band })).toBe(
      '20 s (15 s to 31 s)',
    );
  });

  it('for each state of the connection', () => {
    const cause = { code: 1006, reason: 'NETWORK', message: 'the connection was lost' };
    const connected = { ...accepted, status: 'connected', stalled: true } as unknown as ConnectionState;
    const states: readonly ConnectionState[] = [
      { status: 'disconnected' },
      { status: 'connecting', attempt: 0 },
      { status: 'connecting', attempt: 2 },
      { status: 'reconnecting', attempt: 1, retryAt: 0, cause },
      { status: 'offline' },
      { status: 'failed', ...cause },
      connected,
    ];
    expect(states.map((state) => describeConnection(state).label)).toEqual([
      'Not connected',
      'Connecting',
      'Reconnecting',
      'Reconnecting',
      'Offline',
      'Not connected',
      'Delayed',
    ]);
    expect(describeConnection({ status: 'failed', ...cause }).text).toBe('The connection was lost.');
  });
});
