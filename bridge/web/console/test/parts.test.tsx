// @vitest-environment jsdom
import { view } from '@courant/client';
import { renderHook } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { job } from '../../packages/client/test/harness.ts';
import { cells, donePages } from '../src/jobs/PageStrip.tsx';
import { signOut, takeTokenFromAddress, tokenFrom, useSession } from '../src/session/session.ts';
import { parse } from '../src/shell/route.ts';
import { ago, bytes, span } from '../src/ui/format.ts';
import { objection } from '../src/upload/uploads.ts';

describe('the page strip', () => {
  it('takes pages it was not told of to be the first', () => {
    const page = { number: 4, width: 1, height: 1, zoneCount: 0, durationMs: 1, warnings: [], zones: [] };
    const known = {
      ...view(job({ pagesTotal: 5, pagesDone: 3 }), 0),
      pages: [undefined, undefined, undefined, page],
    };
    expect(donePages(known)).toEqual([true, true, false, true, false]);
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

describe('signing in', () => {
  it('takes a token or the whole link', () => {
    expect(tokenFrom('  aa.bb-_.cc\n')).toBe('aa.bb-_.cc');
    expect(tokenFrom('http://127.0.0.1:8080/#token=aa.bb.cc')).toBe('aa.bb.cc');
    expect(tokenFrom('hello')).toBeNull();
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
    expect(result.current).toEqual({ token: null, notice: 'over' });
    expect(sessionStorage.getItem('courant.token')).toBeNull();
  });
});

describe('small things', () => {
  it('route', () => {
    expect(parse('')).toEqual({ page: 'home' });
    expect(parse('#/jobs/01K9')).toEqual({ page: 'job', jobId: '01K9' });
  });

  it('objections to files', () => {
    expect(objection(new File(['%PDF'], 'a.PDF'))).toBeNull();
    expect(objection(new File(['x'], 'scan', { type: 'application/pdf' }))).toBeNull();
    expect(objection(new File([], 'a.pdf'))).toContain('empty');
    expect(objection(new File(['x'], 'a.docx'))).toContain('PDF');
  });

  it('words for numbers', () => {
    expect([bytes(999), bytes(1500), bytes(250_000_000)]).toEqual(['999 B', '1.5 kB', '250 MB']);
    expect([span(0.84), span(42.4), span(185), span(7800)]).toEqual([
      '0.8 s',
      '42 s',
      '3 min 05 s',
      '2 h 10 min',
    ]);
    const now = Date.parse('2026-11-21T09:00:00Z');
    expect(ago('2026-11-21T08:59:50Z', now)).toBe('just now');
    expect(ago('2026-11-21T08:00:00Z', now)).toBe('1 hour ago');
  });
});
