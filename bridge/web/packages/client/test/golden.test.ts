/** The golden messages of the bridge: the same in both formats, and read alike. */
import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decode } from '../src/decode.ts';
import { pack, unpack } from '../src/msgpack.ts';

interface Golden {
  readonly from: 'client' | 'server';
  readonly json: { readonly type: string };
  readonly msgpack: string;
}

const file = new URL('../../../../schema/golden.json', import.meta.url);
const golden = JSON.parse(readFileSync(file, 'utf8')) as readonly Golden[];

/** Without the first byte, which says whether the rest is deflated. */
function opened(message: string): Uint8Array {
  const [how, ...rest] = Buffer.from(message, 'base64');
  expect([0, 1]).toContain(how);
  return how === 1 ? inflateRawSync(Uint8Array.from(rest)) : Uint8Array.from(rest);
}

describe('the golden messages', () => {
  it('are of both sides', () => {
    expect(golden.filter(({ from }) => from === 'server').length).toBeGreaterThan(15);
    expect(golden.filter(({ from }) => from === 'client').length).toBeGreaterThan(5);
  });

  it.each(golden)('$from $json.type', ({ from, json, msgpack }) => {
    const message = unpack(opened(msgpack));
    expect(message).toEqual(json);
    if (from === 'client') {
      expect(unpack(pack(json))).toEqual(json);
      return;
    }
    const read = decode(message);
    expect(read).toMatchObject({ kind: 'message', message: { type: json.type } });
    expect(read).toEqual(decode(JSON.stringify(json)));
  });
});
