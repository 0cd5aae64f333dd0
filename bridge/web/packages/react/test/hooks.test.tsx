// @vitest-environment jsdom
import { CourantClient } from '@courant/client';
import { act, cleanup, render, screen } from '@testing-library/react';
import { type ReactNode, StrictMode } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { accepted, event, FakeSocket, job, socket } from '../../client/test/harness.ts';
import {
  CourantProvider,
  type Jobs,
  useConnection,
  useCourant,
  useDevices,
  useJob,
  useJobs,
  useTopic,
} from '../src/index.ts';

function start(fetch?: typeof globalThis.fetch): CourantClient {
  FakeSocket.all = [];
  return new CourantClient({
    url: 'http://bridge.test',
    token: () => 't',
    WebSocket: FakeSocket,
    format: 'json',
    device: null,
    ...(fetch ? { fetch } : {}),
  });
}

async function show(client: CourantClient, children: ReactNode) {
  const shown = render(<CourantProvider client={client}>{children}</CourantProvider>);
  await act(async () => {
    client.connect();
    await vi.dynamicImportSettled();
  });
  await act(async () => socket().accept());
  return shown;
}

const says = (message: object) => act(async () => socket().says(message));

function Connection() {
  return <p data-testid="connection">{useConnection().status}</p>;
}

function One({ id, rendered }: { readonly id: string; readonly rendered?: () => void }) {
  rendered?.();
  const view = useJob(id);
  const topic = useTopic(`job/${id}`);
  return <p data-testid={id}>{view ? `${view.job.state} ${view.job.progress}` : topic.phase}</p>;
}

function All() {
  return (
    <ul data-testid="all">
      {useJobs().jobs.map((view) => (
        <li key={view.job.jobId}>{view.job.jobId}</li>
      ))}
    </ul>
  );
}

function MyDevices({ rendered }: { readonly rendered?: () => void }) {
  rendered?.();
  const known = useDevices();
  return (
    <p data-testid="devices">
      {known?.devices.map(({ name, current }) => `${name}${current ? '!' : ''}`).join(' ') ?? 'unknown'}
      {known?.complete === false && ' and perhaps more'}
    </p>
  );
}

describe('the hooks', () => {
  afterEach(cleanup);

  it('follow the devices that are connected', async () => {
    const client = start();
    const rendered = vi.fn();
    await show(client, <MyDevices rendered={rendered} />);
    const text = () => screen.getByTestId('devices').textContent;
    expect(text()).toBe('unknown');
    await says({ id: 0, type: 'connected', ...accepted, deviceId: 'a' });
    await act(async () => socket().subscribed('devices'));
    const device = (deviceId: string, name: string) => ({ deviceId, name, transports: [], connections: 1 });
    const push = (devices: object[], complete = true) =>
      says({ type: 'devices', topic: 'devices', cursor: 'c', devices, complete });
    await push([device('a', 'laptop'), device('b', 'phone')]);
    expect(text()).toBe('laptop! phone');
    const before = rendered.mock.calls.length;
    await says({ type: 'queue-status', topic: 'queue', cursor: 'q', queue: {} });
    expect(rendered).toHaveBeenCalledTimes(before);
    await push([device('a', 'laptop')], false);
    expect(text()).toBe('laptop! and perhaps more');
  });

  it('follow the connection', async () => {
    const client = start();
    render(
      <CourantProvider client={client}>
        <Connection />
      </CourantProvider>,
    );
    expect(screen.getByTestId('connection').textContent).toBe('disconnected');
    await act(async () => {
      client.connect();
      await vi.dynamicImportSettled();
    });
    await act(async () => socket().accept());
    expect(screen.getByTestId('connection').textContent).toBe('connected');
    await act(async () => socket().ends(4400));
    expect(screen.getByTestId('connection').textContent).toBe('failed');
  });

  it('subscribe to a job while it is shown, and render what comes', async () => {
    const { rerender } = await show(start(), <One id="J1" />);
    expect(socket().ofType('subscribe')).toMatchObject([{ topic: 'job/J1' }]);
    await act(async () => socket().subscribed('job/J1'));
    expect(screen.getByTestId('J1').textContent).toBe('loading');
    await says({ type: 'snapshot', topic: 'job/J1', job: job({ progress: 20 }) });
    expect(screen.getByTestId('J1').textContent).toBe('running 20');
    await says(event('job-completed', 'job/J1', { revision: 11, state: 'succeeded', progress: 100 }));
    expect(screen.getByTestId('J1').textContent).toBe('succeeded 100');
    vi.useFakeTimers();
    rerender(<p>gone</p>);
    await vi.advanceTimersByTimeAsync(1000);
    vi.useRealTimers();
    expect(socket().ofType('unsubscribe')).toMatchObject([{ topic: 'job/J1' }]);
  });

  it('render a job only when that job changed', async () => {
    const rendered = vi.fn();
    await show(
      start(),
      <>
        <One id="J1" rendered={rendered} />
        <All />
      </>,
    );
    await act(async () => socket().subscribed('mine'));
    await says({ type: 'snapshot', topic: 'mine', job: job() });
    await says({ type: 'live', topic: 'mine', cursor: 'c' });
    const before = rendered.mock.calls.length;
    await says(event('job-queued', 'mine', { jobId: 'J2', revision: 12 }));
    expect(rendered).toHaveBeenCalledTimes(before);
    expect(screen.getByTestId('all').textContent).toBe('J2J1');
  });

  it('subscribe only to what is shown once all is there, not to what passes by while it comes', async () => {
    function Newest() {
      const three = useJobs().jobs.slice(0, 3);
      return three.map(({ job: { jobId } }) => <One key={jobId} id={jobId} />);
    }
    await show(
      start(),
      <StrictMode>
        <Newest />
      </StrictMode>,
    );
    await act(async () => socket().subscribed('mine'));
    // Oldest first: each of them is among the newest three for a moment.
    for (let at = 10; at < 39; at += 1) {
      const createTime = `2026-11-21T08:30:${at}Z`;
      await says({ type: 'snapshot', topic: 'mine', job: job({ jobId: `J${at}`, createTime }) });
    }
    await says({ type: 'live', topic: 'mine', cursor: 'c' });
    const asked = () =>
      socket()
        .topics()
        .map(({ topic }) => topic);
    expect(asked()).toEqual(['mine', 'job/J38', 'job/J37', 'job/J36']);
    vi.useFakeTimers();
    await vi.advanceTimersByTimeAsync(3000);
    vi.useRealTimers();
    expect(socket().topics('unsubscribe')).toEqual([]);
  });

  it('send nothing when a part goes and comes again at once, or shows the same job twice', async () => {
    const client = start();
    const { rerender } = await show(client, [<One key="a" id="J1" />, <One key="b" id="J1" />]);
    await act(async () => socket().subscribed('job/J1'));
    const sent = socket().sent.length;
    vi.useFakeTimers();
    for (const key of ['c', 'd', 'e']) {
      rerender(<p>gone</p>);
      await vi.advanceTimersByTimeAsync(500);
      rerender(
        <CourantProvider client={client}>
          <One key={key} id="J1" />
        </CourantProvider>,
      );
      await vi.advanceTimersByTimeAsync(500);
    }
    vi.useRealTimers();
    expect(socket().sent).toHaveLength(sent);
  });

  it('say that there are older jobs, and load them page by page', async () => {
    const all = Array.from({ length: 160 }, (_, at) =>
      job({ jobId: `J${at}`, state: 'succeeded', createTime: new Date(1e12 - at * 1000).toISOString() }),
    );
    const fetch = vi.fn(async (url: string) => {
      const query = new URL(url).searchParams;
      const [from, size] = [Number(query.get('pageToken')), Number(query.get('pageSize'))];
      const end = from + size;
      return Response.json({
        jobs: all.slice(from, end),
        nextPageToken: end < all.length ? String(end) : null,
        cursor: 'c',
      });
    });
    const client = start(fetch as unknown as typeof globalThis.fetch);
    let now: Jobs | undefined;
    function Mine() {
      now = useJobs();
      return null;
    }
    await show(client, <Mine />);
    await act(async () => socket().subscribed('mine'));
    await act(async () => {
      for (const each of all.slice(0, 50)) socket().says({ type: 'snapshot', topic: 'mine', job: each });
    });
    expect(now?.hasMore).toBe(false);
    await says({ type: 'live', topic: 'mine', cursor: 'c' });
    expect([now?.jobs.length, now?.hasMore]).toEqual([50, true]);
    // Asked twice at once it is one page.
    await act(async () => void (await Promise.all([now?.loadMore(), now?.loadMore()])));
    expect([now?.jobs.length, now?.hasMore]).toEqual([100, true]);
    await act(async () => void (await now?.loadMore()));
    expect([now?.jobs.length, now?.hasMore]).toEqual([160, false]);
    await act(async () => void (await now?.loadMore()));
    expect(fetch).toHaveBeenCalledTimes(2);
    // What was missed is not known after a gap: there may be more again.
    await says({ type: 'gap', topic: 'mine', reason: 'HISTORY_TRIMMED' });
    await act(async () => {
      for (const each of all.slice(0, 50)) socket().says({ type: 'snapshot', topic: 'mine', job: each });
    });
    await says({ type: 'live', topic: 'mine', cursor: 'c' });
    expect(now?.hasMore).toBe(true);
  });

  it('say that all jobs are there', async () => {
    const client = start();
    await show(client, <All />);
    await act(async () => socket().subscribed('mine'));
    await says({ type: 'snapshot', topic: 'mine', job: job() });
    await says({ type: 'live', topic: 'mine', cursor: 'c' });
    expect(client.jobs.hasOlder).toBe(false);
  });

  it('tell why there is no job', async () => {
    await show(start(), <One id="J9" />);
    const id = socket().ofType('subscribe')[0]?.['id'];
    await says({ id, type: 'error', code: 'JOB_NOT_FOUND', message: 'no such job', retryable: false });
    expect(screen.getByTestId('J9').textContent).toBe('ended');
  });

  it('render on a server without a connection', () => {
    const html = renderToString(
      <CourantProvider client={start()}>
        <Connection />
        <All />
      </CourantProvider>,
    );
    expect(html).toContain('disconnected');
    expect(FakeSocket.all).toHaveLength(0);
  });

  it('say what is missing when there is no provider', () => {
    const Lost = () => <p>{useCourant().connection.status}</p>;
    const quiet = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    expect(() => render(<Lost />)).toThrow('useCourant needs a <CourantProvider> above it');
    quiet.mockRestore();
  });
});
