import { describe, expect, it, vi } from 'vitest';
import { type ClientOptions, CourantError } from '../src/index.ts';
import { client, connected, job, pausedTime } from './harness.ts';

const size = 20 << 20;
const piece = 8 << 20;

/** A bridge that keeps what comes, and fails when it is told to. */
class FakeBridge {
  readonly calls: string[] = [];
  readonly metadata = new Map<string, string>();
  /** By request id; the bytes that have arrived. */
  readonly uploads = new Map<string, number>();
  /** What happens to the next requests, instead of an answer. */
  readonly faults: (() => Response | null | 'half' | undefined)[] = [];

  readonly fetch = (async (url: string, init: RequestInit) => {
    const method = init.method ?? 'GET';
    this.calls.push(`${method} ${new URL(url).pathname}`);
    init.signal?.throwIfAborted();
    const fault = this.faults.shift()?.();
    if (fault === null) throw new TypeError('no network');
    if (fault instanceof Response) return fault;
    const headers = new Headers(init.headers);
    if (method !== 'GET') expect(headers.get('tus-resumable')).toBe('1.0.0');
    if (method === 'GET') return new Response(JSON.stringify({ job: job(), cursor: 'late' }));
    if (method === 'POST') return this.#begin(headers);
    const id = url.split('/').at(-1) ?? '';
    const there = this.uploads.get(id);
    if (there === undefined) return problem(404, 'UPLOAD_NOT_FOUND');
    if (method === 'DELETE') return this.#give(id);
    if (headers.get('upload-offset') !== String(there)) return problem(409, 'UPLOAD_OFFSET');
    const bytes = (init.body as Blob).size;
    this.uploads.set(id, there + (fault === 'half' ? bytes / 2 : bytes));
    if (fault === 'half') throw new TypeError('cut');
    return this.#told(id, 204);
  }) as typeof fetch;

  #begin(headers: Headers): Response {
    expect(headers.get('upload-length')).toBe(String(size));
    for (const pair of (headers.get('upload-metadata') ?? '').split(',')) {
      const [name = '', value = ''] = pair.split(' ');
      const bytes = Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
      this.metadata.set(name, new TextDecoder().decode(bytes));
    }
    const id = `UP-${this.metadata.get('requestId')}`;
    if (!this.uploads.has(id)) this.uploads.set(id, 0);
    return this.#told(id, 201);
  }

  #give(id: string): Response {
    this.uploads.delete(id);
    return new Response(null, { status: 204 });
  }

  #told(id: string, status: number): Response {
    const offset = this.uploads.get(id) ?? 0;
    const done = offset === size ? { 'courant-job': 'J1', 'courant-cursor': 'c1' } : undefined;
    const headers = { location: `/v1/uploads/${id}`, 'upload-offset': String(offset), ...done };
    return new Response(null, { status, headers });
  }
}

const pass = () => undefined;

function problem(status: number, code: string, retryable = false): Response {
  return new Response(JSON.stringify({ code, detail: code, retryable }), { status });
}

const document = new File([new Uint8Array(size)], 'täst.pdf', { lastModified: 7 });

function made(bridge: FakeBridge, options: Partial<ClientOptions> = {}) {
  return client({ fetch: bridge.fetch, ...options });
}

describe('large documents', () => {
  pausedTime();

  it('go in pieces, with progress, and become a job', async () => {
    const bridge = new FakeBridge();
    const sent: number[] = [];
    const labels = { team: 'law', 'ö: x': 'y' };
    const submitted = await made(bridge).submit(document, {
      requestId: 'r',
      labels,
      lane: 'premium',
      onProgress: (part) => sent.push(part),
    });
    expect(submitted).toMatchObject({ cursor: 'c1', job: { jobId: 'J1' } });
    expect(bridge.calls).toEqual([
      'POST /v1/uploads',
      ...Array<string>(3).fill('PATCH /v1/uploads/UP-r'),
      'GET /v1/jobs/J1',
    ]);
    expect(Object.fromEntries(bridge.metadata)).toMatchObject({
      name: 'täst.pdf',
      lane: 'premium',
      requestId: 'r',
    });
    expect(sent).toEqual([0, piece / size, (2 * piece) / size, 1]);
  });

  it('go on where they were after a cut, and nothing is sent twice', async () => {
    const bridge = new FakeBridge();
    const waits: boolean[] = [];
    bridge.faults.push(
      pass,
      () => 'half',
      () => null,
      () => problem(503, 'SERVER_UNAVAILABLE', true),
    );
    const submitted = made(bridge).submit(document, {
      requestId: 'r',
      onWaiting: (waiting) => waits.push(waiting),
    });
    await vi.advanceTimersByTimeAsync(30_000);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await submitted).toMatchObject({ job: { jobId: 'J1' } });
    // Half a piece had arrived: two whole ones are left, and the rest.
    expect(bridge.calls.filter((call) => call.startsWith('PATCH'))).toHaveLength(3);
    expect(bridge.calls.filter((call) => call.startsWith('POST'))).toHaveLength(4);
    expect(waits).toEqual([false, true, true, true, false]);
  });

  it('are tried at once when the network is back', async () => {
    const bridge = new FakeBridge();
    const listeners = new Map<string, () => void>();
    vi.stubGlobal('addEventListener', (name: string, listener: () => void) => listeners.set(name, listener));
    vi.stubGlobal('removeEventListener', (name: string) => listeners.delete(name));
    vi.spyOn(Math, 'random').mockReturnValue(1);
    bridge.faults.push(() => null);
    const submitted = made(bridge).submit(document, { requestId: 'r' });
    await vi.waitFor(() => expect(listeners.has('online')).toBe(true));
    listeners.get('online')?.();
    expect(await submitted).toMatchObject({ job: { jobId: 'J1' } });
    expect(listeners.has('online')).toBe(false);
    vi.restoreAllMocks();
  });

  it('begin again when what had arrived has expired, and look again when another writer was quicker', async () => {
    const bridge = new FakeBridge();
    const expire = (): undefined => void bridge.uploads.delete('UP-r');
    const overtake = (): undefined => void bridge.uploads.set('UP-r', 9 << 20);
    bridge.faults.push(pass, pass, expire, pass, overtake);
    const submitted = made(bridge).submit(document, { requestId: 'r' });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await submitted).toMatchObject({ job: { jobId: 'J1' } });
    expect(bridge.calls.filter((call) => call.startsWith('POST'))).toHaveLength(3);
  });

  it('are given up when asked to, and kept when asked for later', async () => {
    for (const [reason, kept] of [
      [undefined, false],
      ['later', true],
    ] as const) {
      const bridge = new FakeBridge();
      const abort = new AbortController();
      bridge.faults.push(pass, pass, () => {
        abort.abort(reason);
        return null;
      });
      const submitted = made(bridge).submit(document, { requestId: 'r', signal: abort.signal });
      await expect(submitted).rejects.toMatchObject({ code: 'ABORTED' });
      await vi.advanceTimersByTimeAsync(0);
      expect(bridge.uploads.has('UP-r')).toBe(kept);
    }
  });

  it('stop waiting when they are given up', async () => {
    const bridge = new FakeBridge();
    const abort = new AbortController();
    bridge.faults.push(() => null);
    const submitted = made(bridge).submit(document, { signal: abort.signal, onWaiting: () => abort.abort() });
    await expect(submitted).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('say what no other try can mend, at once or after many', async () => {
    const refused = new FakeBridge();
    refused.faults.push(() => problem(429, 'QUOTA_EXCEEDED', true));
    const over = made(refused).submit(document, {});
    await expect(over).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    const dead = new FakeBridge();
    dead.faults.push(...Array.from({ length: 50 }, () => () => null));
    const submitted = made(dead)
      .submit(document, {})
      .catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await submitted).toBeInstanceOf(CourantError);
    expect(dead.calls).toHaveLength(11);
  });

  it('go in one request to a bridge that knows no other, and when it is turned off', async () => {
    const old = new FakeBridge();
    const answer = () => new Response(JSON.stringify({ job: job(), cursor: 'c' }), { status: 201 });
    old.faults.push(() => problem(404, 'NOT_FOUND'), answer);
    expect(await made(old).submit(document)).toMatchObject({ cursor: 'c' });
    const off = new FakeBridge();
    off.faults.push(answer);
    await made(off, { resumableFrom: Number.POSITIVE_INFINITY }).submit(document);
    expect([old.calls, off.calls]).toEqual([['POST /v1/uploads', 'POST /v1/jobs'], ['POST /v1/jobs']]);
  });

  it('are the same request after a reload when the same file is given again, and then no more', async () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    const bridge = new FakeBridge();
    const page = () => connected({ fetch: bridge.fetch, storage });
    const leave = new AbortController();
    bridge.faults.push(pass, pass, () => {
      leave.abort('later');
      return null;
    });
    const first = (await page()).submit(document, { signal: leave.signal });
    await expect(first).rejects.toMatchObject({ code: 'ABORTED' });
    const before = bridge.metadata.get('requestId');
    await (await page()).submit(document);
    expect(bridge.metadata.get('requestId')).toBe(before);
    expect(bridge.calls.filter((call) => call.startsWith('PATCH'))).toHaveLength(4);
    await (await page()).submit(document);
    expect(bridge.metadata.get('requestId')).not.toBe(before);
  });
});
