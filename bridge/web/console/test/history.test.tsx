// @vitest-environment jsdom
import { CourantClient } from '@courant/client';
import { CourantProvider } from '@courant/react';
import { act, cleanup, render, screen, waitFor } from '@testing-library/react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket, job, socket } from '../../packages/client/test/harness.ts';
import HistoryPage from '../src/history/HistoryPage.tsx';
import { Recent, RecentProvider } from '../src/jobs/recent.tsx';

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
      return Response.json({ jobs: all.slice(from, end), nextPageToken: end < 120 ? String(end) : null });
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
    render(
      <CourantProvider client={client}>
        <RecentProvider value={new Recent(client.jobs)}>
          <HistoryPage query="" />
        </RecentProvider>
      </CourantProvider>,
    );
    await act(async () => {
      client.connect();
      await vi.dynamicImportSettled();
    });
    await act(async () => socket().accept());
    const counted = () => screen.queryByTestId('history-count')?.textContent;
    await waitFor(() => expect(counted()).toBe('50 jobs shown; there are more'));
    isBroken = true;
    await act(async () => screen.getByTestId('load-older').click());
    await waitFor(() =>
      expect(screen.getByRole('alert').textContent).toContain('Not all jobs could be loaded'),
    );
    expect(counted()).toBe('50 jobs shown; there are more');
    isBroken = false;
    await act(async () => screen.getByRole('button', { name: 'Try again' }).click());
    await waitFor(() => expect(counted()).toBe('100 jobs shown; there are more'));
    await act(async () => screen.getByRole('button', { name: 'Load more' }).click());
    await waitFor(() => expect(counted()).toBe('120 jobs'));
    expect(screen.queryByTestId('load-older')).toBeNull();
    client.close();
  });
});
