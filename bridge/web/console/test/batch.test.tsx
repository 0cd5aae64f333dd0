// @vitest-environment jsdom
import { CourantClient } from '@courant/client';
import { CourantProvider } from '@courant/react';
import { act, cleanup, configure, renderHook, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeSocket, job } from '../../packages/client/test/harness.ts';
import { useBatchJobs } from '../src/batch/useBatchJobs.ts';

configure({ asyncUtilTimeout: 10_000 });

describe('a batch', () => {
  afterEach(cleanup);

  it('has all its jobs, also those that ended long ago', async () => {
    const of = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, at) =>
        job({ jobId: `J${from + at}`, batchId: 'b', state: 'succeeded' }),
      );
    const answers: Record<string, object> = {
      '': { jobs: of(0, 60), nextPageToken: 'more', cursor: 'c' },
      more: { jobs: of(60, 90), nextPageToken: null, cursor: 'c' },
    };
    const fetch = (async (url: string) => {
      const query = new URL(url).searchParams;
      expect(query.get('batchId')).toBe('b');
      return new Response(JSON.stringify(answers[query.get('pageToken') ?? '']));
    }) as typeof globalThis.fetch;
    const client = new CourantClient({
      url: 'http://bridge.test',
      token: () => 't',
      WebSocket: FakeSocket,
      fetch,
    });
    const wrapper = ({ children }: { readonly children: ReactNode }) => (
      <CourantProvider client={client}>{children}</CourantProvider>
    );
    const { result } = renderHook(() => useBatchJobs('b'), { wrapper });
    expect(result.current).toMatchObject({ views: [], loading: true });
    await waitFor(() => expect(result.current.loading).toBe(false));
    expect(result.current.views).toHaveLength(90);
    expect(result.current.error).toBeNull();
  });

  it('says when some of its jobs may be missing, and tries again', async () => {
    let isBroken = true;
    const fetch = (async (url: string) => {
      const isFirst = !new URL(url).searchParams.has('pageToken');
      if (!isFirst && isBroken) return new Response('gone', { status: 500 });
      const jobs = [job({ jobId: isFirst ? 'J1' : 'J2', batchId: 'b' })];
      return Response.json({ jobs, nextPageToken: isFirst ? 'more' : null, cursor: 'c' });
    }) as typeof globalThis.fetch;
    const client = new CourantClient({
      url: 'http://bridge.test',
      token: () => 't',
      WebSocket: FakeSocket,
      fetch,
    });
    const wrapper = ({ children }: { readonly children: ReactNode }) => (
      <CourantProvider client={client}>{children}</CourantProvider>
    );
    const { result } = renderHook(() => useBatchJobs('b'), { wrapper });
    await waitFor(() => expect(result.current.error).not.toBeNull());
    expect(result.current.views).toHaveLength(1);
    isBroken = false;
    act(() => result.current.reload());
    await waitFor(() => expect(result.current.views).toHaveLength(2));
    expect(result.current.error).toBeNull();
  });
});
