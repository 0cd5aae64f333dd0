// @vitest-environment jsdom
import { CourantClient } from '@courant/client';
import { CourantProvider } from '@courant/react';
import { act, cleanup, configure, render, renderHook, screen, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeSocket, job } from '../../packages/client/test/harness.ts';
import BatchPage from '../src/batch/BatchPage.tsx';
import { progressOf } from '../src/batch/progress.ts';
import { useBatchJobs } from '../src/batch/useBatchJobs.ts';
import { RecentJobs, RecentJobsProvider } from '../src/jobs/recent-jobs.tsx';
import { UploadsProvider } from '../src/upload/context.tsx';
import { Uploads } from '../src/upload/uploads.ts';

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

  it('is not at its end while a file is still being uploaded', async () => {
    const succeeded = (jobId: string) =>
      job({
        jobId,
        batchId: 'B',
        filename: `${jobId}.pdf`,
        state: 'succeeded',
        progress: 100,
        pagesTotal: 1,
      });
    const fetch = (async () =>
      Response.json({
        jobs: [succeeded('J1')],
        nextPageToken: null,
        cursor: 'c',
      })) as typeof globalThis.fetch;
    const client = new CourantClient({
      url: 'http://bridge.test',
      token: () => 't',
      WebSocket: FakeSocket,
      fetch,
    });
    let arrive = () => {};
    const submit = async () => {
      await new Promise<void>((resolve) => {
        arrive = resolve;
      });
      client.jobs.put(succeeded('J2'));
      return { job: succeeded('J2'), cursor: 'c' };
    };
    const uploads = new Uploads({ submit } as unknown as CourantClient, () => {});
    const file = new File(['%PDF'], 'J2.pdf');
    const state = { state: 'waiting', sent: 0, isCut: false, error: null, canRetry: false } as const;
    uploads.resume([{ id: 'r', file, parameters: null, batch: { id: 'B', size: 2 }, ...state }]);
    render(
      <CourantProvider client={client}>
        <UploadsProvider value={uploads}>
          <RecentJobsProvider value={new RecentJobs(client.jobs)}>
            <BatchPage batchId="B" />
          </RecentJobsProvider>
        </UploadsProvider>
      </CourantProvider>,
    );
    const percent = () => screen.getByTestId('batch-progress').getAttribute('aria-valuenow');
    await waitFor(() => expect(screen.getAllByTestId('job-card')).toHaveLength(1));
    expect(percent()).toBe('50');
    expect(screen.getByTestId('batch').textContent).toContain('1 file not submitted yet');
    expect(screen.getByRole('heading', { level: 1 }).textContent).toBe('Batch of 2 documents');
    await act(async () => arrive());
    await waitFor(() => expect(percent()).toBe('100'));
    expect(screen.getAllByTestId('job-card')).toHaveLength(2);
  });

  it('counts a file that is not submitted as a document of which nothing is done', () => {
    const done = job({ pagesTotal: 1, state: 'succeeded' });
    expect(progressOf([done], 1)).toBe(50);
    expect(progressOf([], 1)).toBe(0);
  });
});
