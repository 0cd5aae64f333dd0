// @vitest-environment jsdom
import { CourantClient } from '@courant/client';
import { CourantProvider } from '@courant/react';
import { act, cleanup, configure, renderHook, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket, job, socket } from '../../packages/client/test/harness.ts';
import { readFilters } from '../src/history/filters.ts';
import { useHistory } from '../src/history/useHistory.ts';

configure({ asyncUtilTimeout: 10_000 });

const all = Array.from({ length: 120 }, (_, at) =>
  job({ jobId: `J${at}`, state: 'succeeded', createTime: new Date(1e12 - at * 1000).toISOString() }),
);

describe('the history', () => {
  afterEach(cleanup);

  it('says that there is more, and still offers it after a page that failed', async () => {
    let isBroken = false;
    const fetch = (async (url: string) => {
      if (isBroken) return new Response('gone', { status: 500 });
      const query = new URL(url).searchParams;
      const from = Number(query.get('pageToken'));
      const end = from + Number(query.get('pageSize'));
      return Response.json({
        jobs: all.slice(from, end),
        nextPageToken: end < 120 ? String(end) : null,
        cursor: 'c',
      });
    }) as typeof globalThis.fetch;
    FakeSocket.all = [];
    const client = new CourantClient({
      url: 'http://bridge.test',
      token: () => 't',
      WebSocket: FakeSocket,
      format: 'json',
      device: null,
      fetch,
    });
    const wrapper = ({ children }: { readonly children: ReactNode }) => (
      <CourantProvider client={client}>{children}</CourantProvider>
    );
    const filters = readFilters('');
    const { result } = renderHook(() => useHistory(filters), { wrapper });
    await act(async () => {
      client.connect();
      await vi.dynamicImportSettled();
    });
    await act(async () => socket().accept());
    const shown = () => [result.current.jobs.length, result.current.hasMore, result.current.state];
    await waitFor(() => expect(shown()).toEqual([50, true, 'ready']));
    isBroken = true;
    act(() => result.current.more());
    await waitFor(() => expect(shown()).toEqual([50, true, 'failed']));
    isBroken = false;
    act(() => result.current.more());
    await waitFor(() => expect(shown()).toEqual([100, true, 'ready']));
    act(() => result.current.more());
    await waitFor(() => expect(shown()).toEqual([120, false, 'ready']));
    client.close();
  });
});
