import { CourantError } from '@courant/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Documents, rangeReader } from '../src/viewer/range-reader.ts';

const text = 'abcdefghij';
const { signal } = new AbortController();

/** A bridge behind something that answers a range as told. */
function behind(answer: Documents['documentPart'] | undefined) {
  const part = vi.fn(
    answer ?? (async (_, [begin, end]) => ({ begin, blob: new Blob([text.slice(begin, end)]) })),
  );
  const document = vi.fn(async () => new Blob([text]));
  return { documentPart: part, document } satisfies Documents;
}

async function read(from: Documents, pieces: readonly (readonly [number, number])[]): Promise<string[]> {
  const reader = rangeReader(from, 'J1', signal);
  const blobs = await Promise.all(pieces.map(([begin, end]) => reader(begin, end)));
  return Promise.all(blobs.map((blob) => blob.text()));
}

const pieces = [
  [8, 10],
  [0, 3],
  [4, 6],
] as const;

describe('a document', () => {
  afterEach(() => vi.useRealTimers());

  it('is read by ranges', async () => {
    const bridge = behind(undefined);
    expect(await read(bridge, pieces)).toEqual(['ij', 'abc', 'ef']);
    expect(bridge.documentPart).toHaveBeenCalledTimes(3);
    expect(bridge.document).not.toHaveBeenCalled();
  });

  it('is read once when all of it comes instead of a range', async () => {
    const bridge = behind(async () => ({ begin: 0, blob: new Blob([text]) }));
    expect(await read(bridge, pieces)).toEqual(['ij', 'abc', 'ef']);
    expect(bridge.documentPart).toHaveBeenCalledTimes(1);
    expect(bridge.document).not.toHaveBeenCalled();
  });

  it('is read once, and whole, when somebody refuses ranges', async () => {
    const bridge = behind(async () => {
      throw new CourantError('HTTP_416', 'no ranges here', { status: 416 });
    });
    expect(await read(bridge, pieces)).toEqual(['ij', 'abc', 'ef']);
    expect(bridge.document).toHaveBeenCalledTimes(1);
  });

  it('is waited for while the network is away or the session has ended', async () => {
    vi.useFakeTimers();
    const refusals = [
      new CourantError('NETWORK', 'away', { retryable: true }),
      new CourantError('TOKEN_EXPIRED', 'sign in', { status: 401 }),
    ];
    const bridge = behind(async (_, [begin, end]) => {
      const refusal = refusals.shift();
      if (refusal) throw refusal;
      return { begin, blob: new Blob([text.slice(begin, end)]) };
    });
    const found = rangeReader(bridge, 'J1', signal)(0, 2);
    await vi.advanceTimersByTimeAsync(10_000);
    vi.useRealTimers();
    expect(await (await found).text()).toBe('ab');
    expect(bridge.document).not.toHaveBeenCalled();
  });

  it('that is gone is not asked for again', async () => {
    const bridge = behind(async () => {
      throw new CourantError('JOB_NOT_FOUND', 'gone', { status: 404 });
    });
    await expect(read(bridge, [[0, 2]])).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    expect(bridge.document).not.toHaveBeenCalled();
  });
});
