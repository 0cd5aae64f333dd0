// @vitest-environment jsdom
import { type CourantClient, type Job, view } from '@courant/client';
import { formatDuration } from '@courant/react/format';
import { renderHook } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { JobStore } from '../../packages/client/src/store.ts';
import { job } from '../../packages/client/test/harness.ts';
import { progressOf } from '../src/batch/progress.ts';
import { listOptions, readFilters, serverFilter, writeFilters } from '../src/history/filters.ts';
import { cells, donePages } from '../src/jobs/PageStrip.tsx';
import { RecentJobs } from '../src/jobs/recent-jobs.tsx';
import { parseToken, signOut, takeTokenFromAddress, useSession } from '../src/session/session.ts';
import { announceJobEvents } from '../src/shell/job-announcements.ts';
import { parseRoute, searchHref } from '../src/shell/route.ts';
import { formatAgo, formatBytes } from '../src/ui/format.ts';
import { rejectionReason } from '../src/upload/uploads.ts';
import { countZones, pageItems } from '../src/viewer/page-items.ts';

describe('the page strip', () => {
  it('takes pages it got no events of to be the first', () => {
    const page = { number: 4, width: 1, height: 1, zoneCount: 0, durationMs: 1, warnings: [], zones: [] };
    const known = {
      ...view(job({ pagesTotal: 5, pagesDone: 3 }), 0),
      pages: [undefined, undefined, undefined, page],
    };
    expect(donePages(known)).toEqual([true, true, false, true, false]);
  });

  it('shows how many are done of those that were asked for, whichever these are', () => {
    const page = { number: 9, width: 1, height: 1, zoneCount: 0, durationMs: 1, warnings: [], zones: [] };
    const known = {
      ...view(job({ pagesTotal: 3, documentPages: 9, pagesDone: 2 }), 0),
      pages: Array.from({ length: 9 }, (_, index) => (index === 8 ? page : undefined)),
    };
    expect(donePages(known)).toEqual([true, true, false]);
  });

  it('shows many pages in few cells and loses none', () => {
    const done = Array.from({ length: 311 }, (_, index) => index < 100);
    const strip = cells(done);
    expect(strip.length).toBeLessThanOrEqual(96);
    expect(strip.at(0)).toEqual({ first: 1, last: 4, filled: 1 });
    expect(strip.at(-1)?.last).toBe(311);
    expect(strip.find(({ first }) => first === 101)?.filled).toBe(0);
  });
});

describe('what is under way', () => {
  it('keeps a job asked for here that was over before its first event', () => {
    const jobs = new JobStore((flush) => flush());
    const recent = new RecentJobs(jobs);
    const stop = recent.start();
    recent.keep('J1');
    jobs.put(job({ jobId: 'J1', state: 'failed' }));
    jobs.put(job({ jobId: 'J2', state: 'failed' }));
    expect([...recent.ids()]).toEqual(['J1']);
    recent.clear();
    expect(recent.ids().size).toBe(0);
    stop();
  });
});

describe('signing in', () => {
  it('takes a token or the whole link', () => {
    expect(parseToken('  aa.bb-_.cc\n')).toBe('aa.bb-_.cc');
    expect(parseToken('http://127.0.0.1:8080/#token=aa.bb.cc')).toBe('aa.bb.cc');
    expect(parseToken('hello')).toBeNull();
  });

  it('takes the token out of the address and keeps it for this tab', () => {
    location.hash = '#token=aa.bb.cc';
    takeTokenFromAddress();
    expect(location.href).not.toContain('token');
    expect(sessionStorage.getItem('courant.token')).toBe('aa.bb.cc');
    const { result, rerender } = renderHook(() => useSession());
    expect(result.current.token).toBe('aa.bb.cc');
    signOut('over');
    rerender();
    expect(result.current).toEqual({ token: null, notification: 'over', offer: null });
    expect(sessionStorage.getItem('courant.token')).toBeNull();
  });
});

describe('the history', () => {
  it('keeps its filters in the address, and takes only what it knows from there', () => {
    const filters = readFilters('q=a+b&state=failed&state=hologram&lane=large&since=2026-11-21');
    expect(filters).toEqual({ words: 'a b', states: ['failed'], lane: 'large', since: '2026-11-21' });
    expect(readFilters(writeFilters(filters))).toEqual(filters);
    expect(readFilters('lane=sky&since=yesterday')).toEqual({ words: '', states: [], lane: null, since: '' });
  });

  it('asks the server in its own language, whatever was typed', () => {
    const nothing = { words: '', states: [], lane: null, since: '' } as const;
    expect(listOptions(nothing)).toEqual({ pageSize: 50 });
    expect(serverFilter({ ...nothing, words: ' a" OR b\\ ', lane: 'large' })).toBe(
      '"a\\"" AND "OR" AND "b\\\\" AND lane = LARGE',
    );
    expect(listOptions({ ...nothing, states: ['failed'] })).toMatchObject({ states: ['failed'] });
  });
});

describe('what a job has made', () => {
  const said = (more: Partial<Job>): readonly string[] => {
    const sentences: string[] = [];
    const listeners: ((event: unknown) => void)[] = [];
    const client = {
      onEvent: (listener: (event: unknown) => void) => {
        listeners.push(listener);
        return () => {};
      },
    };
    announceJobEvents(client as unknown as CourantClient, (sentence) => sentences.push(sentence));
    const ended = job({ state: 'succeeded', progress: 100, ...more });
    for (const listener of listeners)
      listener({ type: 'job-completed', topic: 'mine', cursor: 'c', job: ended });
    return sentences;
  };

  it('is pages of a PDF, outputs of other work, and nothing where there is neither', () => {
    const output = { name: 'a.csv', mediaType: 'text/csv', sizeBytes: 1, sha256: '', attempt: 1, url: '' };
    const words = { kind: 'words', pagesTotal: null, pagesDone: 0 };
    expect(said({ pagesDone: 4 })).toEqual(['report.pdf succeeded, 4 pages.']);
    expect(said({ ...words, outputs: [output] })).toEqual(['report.pdf succeeded, 1 output.']);
    expect(said(words)).toEqual(['report.pdf succeeded.']);
    expect(said({ ...words, pagesTotal: 2, pagesDone: 2 })).toEqual(['report.pdf succeeded, 2 pages.']);
  });
});

describe('the pages of a document', () => {
  const found = (number: number, kind: 'heading' | 'table') => {
    const boundingBox = { x0: 10, y0: 10, x1: 110, y1: 40 };
    const rest = { tool: '', status: 'completed', confidence: 1, durationMs: 1, note: null } as const;
    const zone = { zoneId: `p${number}z1`, index: 1, page: number, boundingBox, kind, ...rest };
    return { number, width: 600, height: 800, zoneCount: 1, durationMs: 1, warnings: [], zones: [zone] };
  };

  it('are known from events, the result and the document, whichever knows more', () => {
    const live = { ...view(job({ pagesTotal: 3 }), 0), pages: [undefined, found(2, 'table')] };
    const list = pageItems(live, null, 4);
    expect(list.map(({ number, page }) => [number, page?.number ?? null])).toEqual([
      [1, null],
      [2, 2],
      [3, null],
      [4, null],
    ]);
    expect(list[0]).toMatchObject({ width: 600, height: 800, blocks: null });
    expect(countZones(list)).toEqual({ table: 1 });
  });

  it('are those that were asked for, under their own numbers', () => {
    const some = job({ pagesTotal: 2, documentPages: 4, pagesDone: 1 });
    const live = { ...view(some, 0), pages: [undefined, found(2, 'table')] };
    expect(pageItems(live, null, 4).map(({ number }) => number)).toEqual([2]);
  });
});

describe('a batch', () => {
  it('counts pages, so that a book weighs more than a letter', () => {
    const book = job({ pagesTotal: 99, progress: 50 });
    const letter = job({ pagesTotal: 1, progress: 100, state: 'succeeded' });
    expect(progressOf([book, letter])).toBeCloseTo(50.5);
    expect(progressOf([])).toBe(0);
  });
});

describe('small things', () => {
  it('route', () => {
    expect(parseRoute('')).toEqual({ page: 'home' });
    expect(parseRoute('#/jobs/01K9')).toEqual({ page: 'job', jobId: '01K9' });
    expect(parseRoute('#/batches/a%2Fb')).toEqual({ page: 'batch', batchId: 'a/b' });
    expect(parseRoute(searchHref('a b'))).toEqual({ page: 'history', query: 'q=a+b' });
    expect(parseRoute('#/jobs/%E0')).toEqual({ page: 'job', jobId: '%E0' });
    expect(parseRoute('#/nowhere')).toEqual({ page: 'home' });
  });

  it('objections to files', () => {
    expect(rejectionReason(new File(['%PDF'], 'a.PDF'))).toBeNull();
    expect(rejectionReason(new File(['x'], 'scan', { type: 'application/pdf' }))).toBeNull();
    expect(rejectionReason(new File([], 'a.pdf'))).toContain('empty');
    expect(rejectionReason(new File(['x'], 'a.docx'))).toContain('PDF');
  });

  it('words for numbers', () => {
    expect([formatBytes(999), formatBytes(1500), formatBytes(250_000_000)]).toEqual([
      '999 B',
      '1.5 kB',
      '250 MB',
    ]);
    expect([formatDuration(0.84), formatDuration(42.4), formatDuration(185), formatDuration(7800)]).toEqual([
      '0.8 s',
      '42 s',
      '3 min 05 s',
      '2 h 10 min',
    ]);
    const now = Date.parse('2026-11-21T09:00:00Z');
    expect(formatAgo('2026-11-21T08:59:50Z', now)).toBe('just now');
    expect(formatAgo('2026-11-21T08:00:00Z', now)).toBe('1 hour ago');
  });
});
