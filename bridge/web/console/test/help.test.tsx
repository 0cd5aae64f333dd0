// @vitest-environment jsdom
import { CourantClient, type Job } from '@courant/client';
import { CourantProvider } from '@courant/react';
import { cleanup, configure, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket, job } from '../../packages/client/test/harness.ts';
import { Actions } from '../src/jobs/Actions.tsx';
import { JobProblems } from '../src/jobs/JobProblems.tsx';
import { RecentJobs, RecentJobsProvider } from '../src/jobs/recent-jobs.tsx';
import { UploadsProvider } from '../src/upload/context.tsx';
import { Uploads } from '../src/upload/uploads.ts';

configure({ asyncUtilTimeout: 10_000 });

const failed = (code: string, retryable = false) =>
  job({ state: 'failed', error: { code, message: 'it failed', retryable } });

function show(of: Job) {
  const fetch = vi.fn(async () => Response.json({ job: of, cursor: null }));
  const client = new CourantClient({
    url: 'http://bridge.test',
    token: () => 't',
    WebSocket: FakeSocket,
    fetch,
  });
  const uploads = new Uploads(client, () => undefined);
  render(
    <CourantProvider client={client}>
      <UploadsProvider value={uploads}>
        <RecentJobsProvider value={new RecentJobs(client.jobs)}>
          <Actions job={of} />
          <JobProblems job={of} />
        </RecentJobsProvider>
      </UploadsProvider>
    </CourantProvider>,
  );
  return { fetch, uploads };
}

const offered = () =>
  ['retry-job', 'retry-anyway', 'upload-again', 'password-form'].filter((id) => screen.queryByTestId(id));

describe('a job that failed', () => {
  afterEach(cleanup);

  it.each([
    [failed('WORKER_LOST', true), ['retry-job']],
    [job({ state: 'failed' }), ['retry-job']],
    [job({ state: 'cancelled' }), ['retry-job']],
    [failed('NOT_A_PDF'), ['upload-again']],
    [failed('DAMAGED_DOCUMENT'), ['upload-again']],
    [failed('NO_PAGES'), ['upload-again']],
    [failed('PASSWORD_REQUIRED'), ['password-form']],
    [failed('WRONG_PASSWORD'), ['password-form']],
    [failed('TOO_MANY_PAGES'), ['retry-anyway', 'upload-again']],
    [failed('OF_A_WORKER_NOBODY_KNOWS'), ['retry-anyway', 'upload-again']],
    [job({ state: 'succeeded' }), []],
    [job({ state: 'running' }), []],
  ])('offers what can help: %#', (of, what) => {
    show(of);
    expect(offered()).toEqual(what);
  });

  it('takes another copy of the document', () => {
    const { uploads } = show(failed('DAMAGED_DOCUMENT'));
    const add = vi.spyOn(uploads, 'add').mockImplementation(() => undefined);
    const copy = new File(['%PDF'], 'mended.pdf', { type: 'application/pdf' });
    fireEvent.change(screen.getByLabelText('Choose another copy of report.pdf'), {
      target: { files: [copy] },
    });
    expect(add).toHaveBeenCalledWith([copy]);
    expect(location.hash).toBe('#/');
  });

  it('is retried when one insists', async () => {
    const { fetch } = show(failed('PAGE_TIMEOUT'));
    fireEvent.click(screen.getByTestId('retry-anyway'));
    await vi.waitFor(() => expect(fetch).toHaveBeenCalledOnce(), 10_000);
    expect((fetch.mock.calls as unknown as [[string]])[0][0]).toContain('J1:retry');
  });
});
