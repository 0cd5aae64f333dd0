import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dispositionName } from '../src/calls.ts';
import { client, job } from './harness.ts';

type Call = { readonly url: string; readonly init: RequestInit };

function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
  const calls: Call[] = [];
  const fetch = (async (url: string, init: RequestInit) => {
    calls.push({ url, init });
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
  }) as typeof globalThis.fetch;
  return { calls, fetch };
}

describe('HTTP', () => {
  it('lists with a bearer token and keeps what it got', async () => {
    const { calls, fetch } = answering(200, { jobs: [job()], nextPageToken: 'n', cursor: 'c' });
    const made = client({ fetch, token: () => 'T' });
    const list = await made.list({ pageSize: 5, pageToken: 'p', states: ['failed', 'succeeded'] });
    expect(list).toMatchObject({ nextPageToken: 'n', cursor: 'c' });
    expect(calls[0]?.url).toBe(
      'http://bridge.test/v1/jobs?pageSize=5&pageToken=p&state=failed&state=succeeded',
    );
    expect(calls[0]?.init.headers).toEqual({ authorization: 'Bearer T' });
    expect(made.jobs.get('J1')?.job.filename).toBe('report.pdf');
  });

  it('cancels and retries', async () => {
    const { calls, fetch } = answering(200, {
      job: job({ state: 'cancelling', status: 'cancelling', revision: 12 }),
    });
    const made = client({ fetch });
    await made.cancel('J1');
    await made.retry('J1');
    expect(calls.map(({ url, init }) => `${init.method} ${url}`)).toEqual([
      'POST http://bridge.test/v1/jobs/J1:cancel',
      'POST http://bridge.test/v1/jobs/J1:retry',
    ]);
    expect(made.jobs.get('J1')?.job.state).toBe('cancelling');
  });

  it('fetches a result as a file with its name', async () => {
    const disposition = 'attachment; filename="r.md"; filename*=UTF-8\'\'%C3%A4.md';
    const { fetch } = answering(200, '# Ä', { 'content-disposition': disposition });
    const { blob, filename } = await client({ fetch }).resultFile('J1', 'md');
    expect(filename).toBe('ä.md');
    expect(await blob.text()).toBe('# Ä');
  });

  it('lists outputs and fetches one by its name', async () => {
    const output = {
      name: 'f/1.png',
      mediaType: 'image/png',
      sizeBytes: 3,
      sha256: 'ab',
      attempt: 1,
      url: '/u',
    };
    const listing = answering(200, { outputs: [output] });
    expect(await client({ fetch: listing.fetch }).outputs('J1')).toEqual([output]);
    const { calls, fetch } = answering(200, 'abc', { 'content-type': 'image/png' });
    const blob = await client({ fetch }).output('J1', 'f/1.png');
    expect([await blob.text(), blob.type]).toEqual(['abc', 'image/png']);
    expect(calls[0]?.url).toBe('http://bridge.test/v1/jobs/J1/outputs/f%2F1.png');
  });

  it('reads a part of an output, and says when all of it came', async () => {
    const { calls, fetch } = answering(206, 'ab');
    const { begin, blob } = await client({ fetch }).outputPart('J1', 'a.csv', [4, 6]);
    expect([begin, await blob.text(), new Headers(calls[0]?.init.headers).get('range')]).toEqual([
      4,
      'ab',
      'bytes=4-5',
    ]);
    const all = await client({ fetch: answering(200, 'abcdef').fetch }).outputPart('J1', 'a.csv', [4, 6]);
    expect([all.begin, await all.blob.text()]).toEqual([0, 'abcdef']);
    const wrong = client({ fetch: answering(206, 'abc').fetch }).outputPart('J1', 'a.csv', [4, 6]);
    await expect(wrong).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('sends parameters in the address, and long ones in a form before the document', async () => {
    const { calls, fetch } = answering(201, { job: job(), cursor: 'c' });
    const submit = (parameters: Record<string, unknown>) =>
      client({ fetch }).submit(new Blob(['%PDF']), { name: 'a.pdf', requestId: 'r', parameters });
    await submit({ mode: 'fast' });
    const url = new URL(calls[0]?.url ?? '');
    expect(url.searchParams.get('parameters')).toBe('{"mode":"fast"}');
    await submit({ text: 'x'.repeat(5000) });
    expect(calls[1]?.url).toBe('http://bridge.test/v1/jobs');
    const form = calls[1]?.init.body as FormData;
    expect([...form.keys()]).toEqual(['name', 'requestId', 'parameters', 'file']);
    expect(JSON.parse(String(form.get('parameters')))).toEqual({ text: 'x'.repeat(5000) });
  });

  it('names a result also without a header, or with a broken one', () => {
    expect(dispositionName(null)).toBeNull();
    expect(dispositionName("attachment; filename*=UTF-8''%zz; filename=a.txt")).toBe('a.txt');
  });

  it('turns problem+json into an error with code and wait', async () => {
    const problem = { status: 429, code: 'TOO_MANY', detail: 'slow down', retryable: true };
    // Longer than anybody waits: else it would be asked again.
    const { fetch } = answering(429, problem, { 'retry-after': '90' });
    await expect(client({ fetch }).get('J1')).rejects.toMatchObject({
      code: 'TOO_MANY',
      message: 'slow down',
      status: 429,
      retryable: true,
      retryAfterMs: 90_000,
    });
  });

  it('makes sense of the answer of a proxy', async () => {
    const { fetch } = answering(502, '<h1>Bad Gateway</h1>');
    await expect(client({ fetch }).get('J1')).rejects.toMatchObject({ code: 'HTTP_502', retryable: true });
  });

  it('says that the server cannot be reached, and tells that from being stopped', async () => {
    const fetch = (async (_: string, init: RequestInit) => {
      init.signal?.throwIfAborted();
      throw new TypeError('fetch failed');
    }) as unknown as typeof globalThis.fetch;
    await expect(client({ fetch }).get('J1')).rejects.toMatchObject({ code: 'NETWORK', retryable: true });
    await expect(client({ fetch }).get('J1', AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('says when an answer is not what the protocol promises', async () => {
    const { fetch } = answering(200, { job: { jobId: 1 } });
    await expect(client({ fetch }).get('J1')).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('reads a range of a document, and says so when all of it came instead', async () => {
    const { calls, fetch } = answering(206, 'cde');
    const part = await client({ fetch }).documentPart('J1', [2, 5]);
    expect(calls[0]?.init.headers).toMatchObject({ range: 'bytes=2-4' });
    expect([part.begin, await part.blob.text()]).toEqual([2, 'cde']);
    const whole = await client({ fetch: answering(200, 'abcdefgh').fetch }).documentPart('J1', [2, 5]);
    expect([whole.begin, await whole.blob.text()]).toEqual([0, 'abcdefgh']);
    const short = client({ fetch: answering(206, 'cd').fetch }).documentPart('J1', [2, 5]);
    await expect(short).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('may ask again when the network went in the middle of a document', async () => {
    const broken = new ReadableStream({ pull: (stream) => stream.error(new TypeError('network error')) });
    const fetch = (async () => new Response(broken)) as unknown as typeof globalThis.fetch;
    await expect(client({ fetch }).document('J1')).rejects.toMatchObject({
      code: 'NETWORK',
      retryable: true,
    });
  });

  it('opens a document with its password, which is in no address', async () => {
    const { calls, fetch } = answering(200, { job: job({ state: 'queued' }), cursor: 'c' });
    await client({ fetch }).retry('J1', { password: 'sésame' });
    expect(calls[0]?.url).toBe('http://bridge.test/v1/jobs/J1:retry');
    expect(calls[0]?.init).toMatchObject({ method: 'POST', body: '{"password":"sésame"}' });
    expect(calls[0]?.init.headers).toMatchObject({ 'content-type': 'application/json' });
  });

  it('reads the document, deletes the job, and forgets it', async () => {
    const { calls, fetch } = answering(200, '%PDF');
    const made = client({ fetch });
    made.jobs.put(job());
    expect(await (await made.document('J1')).text()).toBe('%PDF');
    await made.delete('J1');
    expect(calls.map(({ url, init }) => `${init.method} ${url}`)).toEqual([
      'GET http://bridge.test/v1/jobs/J1/document',
      'DELETE http://bridge.test/v1/jobs/J1',
    ]);
    expect(made.jobs.get('J1')).toBeUndefined();
  });

  it('asks for what matches, and marks what was read', async () => {
    const { calls, fetch } = answering(200, { jobs: [], nextPageToken: null, cursor: 'c' });
    const made = client({ fetch });
    await made.list({ filter: 'lane = LARGE', labels: { team: 'law' }, owner: '-' });
    await made.markRead(['n1']);
    expect(decodeURIComponent(calls[0]?.url ?? '')).toBe(
      'http://bridge.test/v1/jobs?filter=lane+=+LARGE&owner=-&label=team:law',
    );
    expect(calls[1]).toMatchObject({
      url: 'http://bridge.test/v1/notifications:read',
      init: { method: 'POST', body: '{"ids":["n1"]}' },
    });
  });

  it('asks to sign in when there is no token', async () => {
    const { fetch, calls } = answering(200, {});
    await expect(client({ fetch, token: () => null }).list()).rejects.toMatchObject({
      code: 'TOKEN_MISSING',
      isAuth: true,
    });
    expect(calls).toHaveLength(0);
  });
});

class FakeRequest {
  static last: FakeRequest;
  static async sent(): Promise<void> {
    await vi.waitFor(() => expect(FakeRequest.last.body).toBeDefined());
  }
  readonly upload: Record<'onprogress' | 'onload', ((event: object) => void) | null> = {
    onprogress: null,
    onload: null,
  };
  readonly headers: Record<string, string> = {};
  onload: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onabort: (() => void) | null = null;
  onloadend: (() => void) | null = null;
  status = 0;
  responseText = '';
  method = '';
  url = '';
  body: unknown;
  constructor() {
    FakeRequest.last = this;
  }
  open(method: string, url: string): void {
    Object.assign(this, { method, url });
  }
  setRequestHeader(name: string, value: string): void {
    this.headers[name] = value;
  }
  getResponseHeader(): null {
    return null;
  }
  send(body: unknown): void {
    this.body = body;
  }
  abort(): void {
    this.onabort?.();
  }
}

describe('uploads', () => {
  beforeEach(() => {
    FakeRequest.last = new FakeRequest();
  });
  afterEach(() => vi.unstubAllGlobals());

  const document = new File(['%PDF-1.7'], 'täst & co.pdf', { type: 'application/pdf' });

  it('sends the document with its name and reports progress', async () => {
    vi.stubGlobal('XMLHttpRequest', FakeRequest);
    const sent: number[] = [];
    const made = client();
    const submitted = made.submit(document, {
      requestId: 'r1',
      lane: 'premium',
      labels: { team: 'law' },
      onProgress: (part) => sent.push(part),
    });
    await FakeRequest.sent();
    const request = FakeRequest.last;
    const query = new URL(request.url).searchParams;
    expect(Object.fromEntries(query)).toEqual({
      name: 'täst & co.pdf',
      requestId: 'r1',
      lane: 'premium',
      label: 'team:law',
    });
    expect(request.headers).toEqual({ authorization: 'Bearer token', 'content-type': 'application/pdf' });
    expect(request.body).toBe(document);
    request.upload.onprogress?.({ lengthComputable: true, loaded: 4, total: 8 });
    Object.assign(request, { status: 201, responseText: JSON.stringify({ job: job(), cursor: 'c9' }) });
    request.onload?.();
    expect(await submitted).toMatchObject({ cursor: 'c9', job: { jobId: 'J1' } });
    expect(sent).toEqual([0.5]);
    expect(made.jobs.get('J1')).toBeDefined();
  });

  it('stops when asked to', async () => {
    vi.stubGlobal('XMLHttpRequest', FakeRequest);
    const abort = new AbortController();
    const submitted = client().submit(document, { signal: abort.signal });
    await FakeRequest.sent();
    abort.abort();
    await expect(submitted).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('says why the server refused it', async () => {
    vi.stubGlobal('XMLHttpRequest', FakeRequest);
    const submitted = client().submit(document);
    await FakeRequest.sent();
    const body = { status: 413, code: 'DOCUMENT_TOO_LARGE', detail: 'at most 512 MiB', retryable: false };
    Object.assign(FakeRequest.last, { status: 413, responseText: JSON.stringify(body) });
    FakeRequest.last.onload?.();
    await expect(submitted).rejects.toMatchObject({ code: 'DOCUMENT_TOO_LARGE', message: 'at most 512 MiB' });
  });

  it('works without XMLHttpRequest, as in Node', async () => {
    const fetch = vi.fn(
      async () => new Response(JSON.stringify({ job: job(), cursor: 'c' }), { status: 201 }),
    );
    vi.stubGlobal('fetch', fetch);
    await expect(client().submit(new Blob(['%PDF']), { name: 'a.pdf' })).resolves.toMatchObject({
      cursor: 'c',
    });
    expect(fetch).toHaveBeenCalledOnce();
  });
});
