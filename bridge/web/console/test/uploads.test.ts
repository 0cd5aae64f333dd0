// @vitest-environment jsdom
import { type CourantClient, CourantError } from '@courant/client';
import { describe, expect, it, vi } from 'vitest';
import { hasSignedOut, signIn, signOut, subjectOf } from '../src/session/session.ts';
import { restoreUnfinished, saveUnfinished } from '../src/upload/unfinished-uploads.ts';
import { Uploads } from '../src/upload/uploads.ts';

const pdf = (name: string) => new File(['%PDF'], name, { type: 'application/pdf' });

/** A client that never gets a file through, and what it was asked for. */
function stuck() {
  const asked: { readonly requestId: string; readonly batchId?: string }[] = [];
  const submit = (_: File, options: { requestId: string; batchId?: string; signal: AbortSignal }) => {
    asked.push(options);
    return new Promise((_, reject) => {
      options.signal.addEventListener('abort', () => reject(new CourantError('ABORTED', 'stopped')));
    });
  };
  return { asked, client: { submit } as unknown as CourantClient };
}

describe('files on their way when the page is loaded again', () => {
  const ids = ({ asked }: ReturnType<typeof stuck>) => asked.map(({ requestId }) => requestId);
  const begin = (files: readonly File[], user = 'ann') => {
    const one = stuck();
    const uploads = new Uploads(one.client, vi.fn(), user);
    uploads.add(files);
    return { one, uploads };
  };

  it('are the same requests when they are given again, by the same person', () => {
    sessionStorage.clear();
    const file = new File(['%PDF'], 'long.pdf', { type: 'application/pdf', lastModified: 5 });
    const [first] = ids(begin([file]).one);
    expect(ids(begin([file]).one)).toEqual([first]);
    expect(ids(begin([file], 'bob').one)).not.toEqual([first]);
    const other = new File(['%PDF'], 'long.pdf', { type: 'application/pdf', lastModified: 6 });
    expect(ids(begin([other]).one)).not.toEqual([first]);
  });

  it('are other requests with other parameters, which a request id promises', () => {
    sessionStorage.clear();
    const file = new File(['%PDF'], 'long.pdf', { type: 'application/pdf', lastModified: 5 });
    const { one, uploads } = begin([file]);
    uploads.add([file], { text: '{"a":1}', value: { a: 1 } });
    uploads.takeUnfinished();
    const again = begin([]);
    again.uploads.add([file], { text: '{"a":1}', value: { a: 1 } });
    expect(ids(again.one)).toEqual([ids(one)[1]]);
    expect(again.one.asked[0]).toMatchObject({ parameters: { a: 1 } });
  });

  it('are two documents when given twice at once, and another one after they were stopped', () => {
    sessionStorage.clear();
    const file = new File(['%PDF'], 'twice.pdf', { type: 'application/pdf', lastModified: 5 });
    const { one, uploads } = begin([file, file]);
    const [first, second] = ids(one);
    expect(first).not.toBe(second);
    for (const { id } of uploads.list()) uploads.remove(id);
    expect([first, second]).not.toContain(ids(begin([file]).one)[0]);
  });
});

describe('files on their way when a session ends', () => {
  it('go on when the same person signs in again, as the same requests of the same batch', async () => {
    const [before, after] = [stuck(), stuck()];
    const first = new Uploads(before.client, vi.fn());
    first.add(['1.pdf', '2.pdf', '3.pdf', '4.pdf', '5.pdf'].map(pdf));
    expect(before.asked).toHaveLength(3);
    saveUnfinished('ann', first);
    expect(first.list()).toEqual([]);
    const second = new Uploads(after.client, vi.fn());
    restoreUnfinished('ann', second);
    expect(second.list().map(({ file }) => file.name)).toEqual(['1.pdf', '2.pdf', '3.pdf', '4.pdf', '5.pdf']);
    const ids = (asked: typeof before.asked) =>
      asked.map(({ requestId, batchId }) => `${requestId} ${batchId}`);
    expect(ids(after.asked)).toEqual(ids(before.asked));
  });

  it('are nobody else’s, and are not kept twice', () => {
    const first = new Uploads(stuck().client, vi.fn());
    first.add([pdf('private.pdf')]);
    saveUnfinished('ann', first);
    for (const user of ['bob', 'ann']) {
      const next = new Uploads(stuck().client, vi.fn());
      restoreUnfinished(user, next);
      expect(next.list()).toEqual([]);
    }
  });

  it('know a session that ran out from one that was left', () => {
    const token = `e30.${btoa('{"sub":"ann"}')}.c2ln`;
    expect([subjectOf(token), subjectOf('nonsense'), subjectOf('a.e30.c')]).toEqual(['ann', '', '']);
    signIn(token);
    signOut('the token ran out');
    expect(hasSignedOut()).toBe(false);
    signOut();
    expect(hasSignedOut()).toBe(true);
  });
});
