// @vitest-environment jsdom
import { CourantClient, type CourantError } from '@courant/client';
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import type { ReactNode } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { event, FakeSocket, job, socket, update } from '../../client/test/harness.ts';
import {
  AdminDashboard,
  ConnectionStatus,
  CourantErrorBoundary,
  JobProgress,
  NotificationList,
  QueueStatus,
} from '../src/components/index.ts';
import { CourantProvider, useCourant } from '../src/index.ts';

function start(fetch?: typeof globalThis.fetch): CourantClient {
  FakeSocket.all = [];
  const transports = ['websocket'] as const;
  const options = { url: 'http://bridge.test', token: () => 't', WebSocket: FakeSocket, transports };
  return new CourantClient({ format: 'json', device: null, ...options, ...(fetch ? { fetch } : {}) });
}

async function show(client: CourantClient, children: ReactNode) {
  render(<CourantProvider client={client}>{children}</CourantProvider>);
  await act(async () => {
    client.connect();
    await vi.dynamicImportSettled();
  });
  await act(async () => socket().accept());
}

const says = (message: object) => act(async () => socket().says(message));
const subscribed = (topic: string) => act(async () => socket().subscribed(topic));

describe('the components', () => {
  afterEach(() => {
    cleanup();
  });

  it('show a job: its bar, where it stands, and what can be done', async () => {
    const fetch = vi.fn(
      async () => new Response(JSON.stringify({ job: job({ state: 'cancelling' }), cursor: null })),
    );
    await show(start(fetch), <JobProgress jobId="J1" actions />);
    await subscribed('job/J1');
    const queued = job({
      state: 'queued',
      status: 'queued',
      queuePosition: 3,
      estimatedWait: 12,
      progress: 0,
    });
    await says({ type: 'snapshot', topic: 'job/J1', job: queued });
    expect(screen.getByText(/Position 3 in the queue, starts in about 12 s/)).toBeDefined();
    await says(event('job-started', 'job/J1', { revision: 11 }));
    await says(update('job-progress', 'job/J1', { revision: 11, progress: 41.7, estimatedTimeRemaining: 4 }));
    const bar = screen.getByRole('progressbar', { name: 'Progress of report.pdf' });
    expect((bar as HTMLProgressElement).value).toBe(41);
    expect(screen.getByRole('status').textContent).toBe('Running');
    await act(async () => fireEvent.click(screen.getByRole('button', { name: 'Cancel report.pdf' })));
    await vi.waitFor(() => expect(fetch).toHaveBeenCalledOnce(), 10_000);
  });

  it('say why an action was refused, and let it be tried again', async () => {
    let status = 409;
    const body = () =>
      JSON.stringify({ code: 'JOB_FINISHED', detail: 'it is over', job: job(), cursor: null });
    const fetch = vi.fn(async () => new Response(body(), { status }));
    await show(start(fetch), <JobProgress jobId="J1" actions />);
    await subscribed('job/J1');
    await says({ type: 'snapshot', topic: 'job/J1', job: job() });
    const cancel = screen.getByRole('button', { name: 'Cancel report.pdf' });
    await act(async () => fireEvent.click(cancel));
    await vi.waitFor(() => expect(screen.getByRole('alert').textContent).toBe('It is over'));
    expect(cancel.hasAttribute('disabled')).toBe(false);
    status = 200;
    await act(async () => fireEvent.click(cancel));
    await vi.waitFor(() => expect(screen.queryByRole('alert')).toBeNull());
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it('say why a job cannot be shown, and why it failed', async () => {
    await show(start(), <JobProgress jobId="J1" actions />);
    const id = socket().ofType('subscribe')[0]?.['id'];
    await says({
      id,
      type: 'error',
      code: 'JOB_NOT_FOUND',
      message: 'there is no such job',
      retryable: false,
    });
    expect(screen.getByRole('status').textContent).toBe('there is no such job');
  });

  it('offer to retry only where that can help, and else what can', async () => {
    const fetch = vi.fn(async () => Response.json({ job: job({ state: 'queued' }), cursor: null }));
    const failed = (code: string, retryable: boolean) =>
      job({ state: 'failed', status: 'failed', error: { code, message: 'no', retryable } });
    await show(start(fetch), <JobProgress jobId="J1" actions />);
    await subscribed('job/J1');
    await says({ type: 'snapshot', topic: 'job/J1', job: failed('WORKER_LOST', true) });
    expect(screen.getByRole('button', { name: 'Retry report.pdf' })).toBeDefined();
    await says({ type: 'snapshot', topic: 'job/J1', job: failed('DAMAGED_DOCUMENT', false) });
    expect(screen.queryByRole('button')).toBeNull();
    expect(screen.getByText(/Retrying cannot help/)).toBeDefined();
    await says({ type: 'snapshot', topic: 'job/J1', job: failed('TOO_MANY_PAGES', false) });
    expect(screen.getByRole('button', { name: 'Retry anyway report.pdf' })).toBeDefined();
    await says({ type: 'snapshot', topic: 'job/J1', job: failed('PASSWORD_REQUIRED', false) });
    fireEvent.change(screen.getByLabelText('Password of report.pdf'), { target: { value: 'open!' } });
    await act(async () => fireEvent.click(screen.getByRole('button', { name: 'Open' })));
    await vi.waitFor(() => expect(fetch).toHaveBeenCalledOnce(), 10_000);
    const [[, init]] = fetch.mock.calls as unknown as [[string, RequestInit]];
    expect(init.body).toBe('{"password":"open!"}');
    await says({ type: 'snapshot', topic: 'job/J1', job: job({ state: 'cancelled' }) });
    expect(screen.getByRole('button', { name: 'Retry report.pdf' })).toBeDefined();
  });

  it('show the connection and a way to try again', async () => {
    await show(start(), <ConnectionStatus />);
    expect(screen.getByRole('status').textContent).toBe('Live');
    await act(async () => socket().ends(1006));
    expect(screen.getByRole('status').textContent).toContain('Reconnecting');
    const dialled = FakeSocket.all.length;
    await act(async () => fireEvent.click(screen.getByRole('button', { name: 'Reconnect' })));
    expect(FakeSocket.all.length).toBe(dialled + 1);
  });

  it('show the queue, and warn of work that nobody does', async () => {
    await show(start(), <QueueStatus />);
    await subscribed('queue');
    const lane = {
      kind: 'pdf',
      lane: 'normal',
      waiting: 3,
      delayed: 1,
      active: 2,
      pagesWaiting: 30,
      estimatedWait: 20,
      share: 1,
    };
    const queue = {
      lanes: [lane],
      workersTotal: 2,
      workersActive: 1,
      slotsTotal: 4,
      slotsUsed: 2,
      unservedKinds: ['docx'],
    };
    await says({ type: 'queue-status', topic: 'queue', cursor: 'q', queue });
    expect(screen.getByRole('alert').textContent).toBe(
      'No worker serves docx: jobs of this kind wait until one does.',
    );
    expect(screen.getByRole('row', { name: /normal \(pdf\) 4 2 20 s/ })).toBeDefined();
  });

  it('show admins the service, and others why not', async () => {
    await show(start(), <AdminDashboard />);
    const id = socket()
      .ofType('subscribe')
      .find(({ topic }) => topic === 'admin')?.['id'];
    await says({
      id,
      type: 'error',
      code: 'ROLE_REQUIRED',
      message: 'this needs the role admin',
      retryable: false,
    });
    expect(screen.getByRole('alert').textContent).toBe('this needs the role admin');
  });

  it('keep notifications until they are read, and take back what the bridge refuses', async () => {
    let status = 200;
    const fetch = vi.fn(async () => new Response('{"unread":0,"code":"X","detail":"no"}', { status }));
    await show(start(fetch), <NotificationList hrefOf={(id) => `/jobs/${id}`} />);
    await subscribed('notifications');
    const notification = {
      id: 'n1',
      kind: 'job-succeeded',
      severity: 'success',
      title: 'report.pdf succeeded',
      body: '',
      jobId: 'J1',
      createTime: '2026-11-21T08:30:12Z',
      readTime: null,
    };
    const push = {
      type: 'notification',
      topic: 'notifications',
      cursor: 'n-1',
      unread: 1,
      notification: notification,
    };
    await says(push);
    await says(push);
    expect(screen.getByRole('status').textContent).toBe('1 unread');
    expect(screen.getByRole('link', { name: 'report.pdf succeeded' }).getAttribute('href')).toBe('/jobs/J1');
    status = 403;
    await act(async () => fireEvent.click(screen.getByRole('button', { name: 'Mark all read' })));
    await vi.waitFor(() => expect(screen.getByRole('alert').textContent).toBe('No'));
    expect(screen.getByRole('status').textContent).toBe('1 unread');
    status = 200;
    await act(async () => fireEvent.click(screen.getByRole('button', { name: /^Mark “report.pdf/ })));
    expect(screen.getByRole('status').textContent).toBe('0 unread');
    const read = { ...notification, readTime: '2026-11-21T08:31:00Z' };
    await says({ ...push, unread: 0, notification: read });
    expect(screen.getAllByRole('listitem')).toHaveLength(1);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it('say that only the newest notifications are there', async () => {
    await show(start(), <NotificationList />);
    await subscribed('notifications');
    const notification = (at: number) => ({
      id: `n${at}`,
      kind: 'message',
      severity: 'info',
      title: 't',
      body: '',
      jobId: null,
      createTime: new Date(1e12 + at * 1000).toISOString(),
    });
    const push = (at: number) =>
      socket().says({
        type: 'notification',
        topic: 'notifications',
        unread: 300,
        notification: notification(at),
      });
    await act(async () => {
      for (let at = 0; at < 199; at += 1) push(at);
    });
    expect(screen.queryByText(/Only the newest/)).toBeNull();
    await act(async () => push(199));
    expect(screen.getByText('Only the newest 200 notifications are shown.')).toBeDefined();
    expect(screen.getByRole('status').textContent).toBe('300 unread');
  });

  it('break alone, and can be tried again', () => {
    let broken = true;
    function Part(): ReactNode {
      if (broken) throw new Error('broken');
      return <p>whole</p>;
    }
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const onError = vi.fn<(error: Error) => void>();
    render(
      <CourantErrorBoundary onError={onError}>
        <Part />
      </CourantErrorBoundary>,
    );
    expect(screen.getByRole('alert')).toBeDefined();
    expect(onError).toHaveBeenCalledOnce();
    broken = false;
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
    expect(screen.getByText('whole')).toBeDefined();
  });

  it('render on a server', () => {
    const html = renderToString(
      <CourantProvider client={start()}>
        <ConnectionStatus />
        <JobProgress jobId="J1" />
        <QueueStatus />
        <AdminDashboard />
        <NotificationList />
      </CourantProvider>,
    );
    expect(html).toContain('Not connected');
    expect(html).toContain('Loading…');
    expect(html).toContain('0<!-- --> unread');
  });
});

describe('without a provider', () => {
  afterEach(cleanup);

  it('a hook says what is missing', () => {
    const Part = () => <p>{String((useCourant() as unknown as CourantError).code)}</p>;
    expect(() => renderToString(<Part />)).toThrow('<CourantProvider>');
  });
});
