/** Packed messages: what another encoder wrote is read, what is written here another decoder reads. */
import { deflateRawSync } from 'node:zlib';
import { Decoder, Encoder } from '@msgpack/msgpack';
import { describe, expect, it, vi } from 'vitest';
import { pack, unpack } from '../src/msgpack.ts';
import { openPacked } from '../src/packed-socket.ts';
import { accepted, client, FakeSocket, job } from './harness.ts';

const theirs = { encoder: new Encoder(), decoder: new Decoder() };

/** Repeatable, unlike those of the platform. */
function randoms(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function anything(random: (below: number) => number, depth = 0): unknown {
  const text = () =>
    'aé漢😀 '
      .repeat(random(80))
      .slice(0, random(300))
      .normalize()
      .replace(/\p{Cs}/gu, '');
  switch (random(depth > 3 ? 5 : 7)) {
    case 0:
      return null;
    case 1:
      return random(2) === 0;
    case 2:
      return (random(2) === 0 ? 1 : -1) * Math.floor(2 ** random(53));
    case 3:
      return random(1_000_000) / 997 - 500;
    case 4:
      return text();
    case 5:
      return Array.from({ length: random(8) }, () => anything(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random(8) }, (_, at) => [
          `${at} ${[...text()].slice(0, 20).join('')}`,
          anything(random, depth + 1),
        ]),
      );
  }
}

describe('MessagePack', () => {
  it('of others is read as it was meant, and others read ours', () => {
    const random = randoms(7);
    for (let round = 0; round < 300; round++) {
      const value = anything(random);
      expect(unpack(theirs.encoder.encode(value))).toEqual(value);
      expect(theirs.decoder.decode(pack(value))).toEqual(value);
    }
  });

  it('has each form of a number and of a length', () => {
    const numbers = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
    for (const value of [...numbers, ...numbers.map((each) => -each), -32, -33, -128, -129, 0.5, 1e300]) {
      expect(unpack(theirs.encoder.encode(value)), String(value)).toBe(value === 0 ? 0 : value);
      expect(theirs.decoder.decode(pack(value))).toBe(value === 0 ? 0 : value);
    }
    expect(unpack(Uint8Array.of(0xca, 0x3f, 0, 0, 0))).toBe(0.5);
    expect(unpack(Uint8Array.of(0xd3, 255, 255, 255, 255, 255, 255, 255, 254))).toBe(-2);
    for (const length of [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536]) {
      const [list, text] = [Array<number>(length).fill(1), 'x'.repeat(length)];
      expect(unpack(theirs.encoder.encode([list, text]))).toEqual([list, text]);
      expect(theirs.decoder.decode(pack([list, text]))).toEqual([list, text]);
    }
  });

  it('that is cut off, goes on, or is none of JSON is refused', () => {
    const whole = pack({ type: 'ping', id: 300, list: [1.5, 'ä'] });
    for (let length = 0; length < whole.length; length++) {
      expect(() => unpack(whole.subarray(0, length)), String(length)).toThrow();
    }
    expect(() => unpack(Uint8Array.of(...whole, 0))).toThrow('follows');
    expect(() => unpack(Uint8Array.of(0xc4, 1, 0))).toThrow('none of JSON');
    expect(() => unpack(Uint8Array.of(0x81, 1, 1))).toThrow('key');
    expect(() => unpack(Uint8Array.of(0xa2, 0xc3, 0x28))).toThrow();
    expect(() => unpack(new Uint8Array(100_000).fill(0x91))).toThrow('deeply');
    expect(Object.getPrototypeOf(unpack(pack(JSON.parse('{"__proto__":{"a":1}}'))))).toBe(Object.prototype);
  });
});

class Packed extends FakeSocket {
  binaryType = '';
  protocol = '';
  readonly raw: unknown[] = [];

  override send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void {
    this.raw.push(data);
  }

  hears(data: unknown): void {
    this.onmessage?.call(this as unknown as WebSocket, new MessageEvent('message', { data }));
  }
}

const plain = (message: object) => Uint8Array.of(0, ...pack(message)).buffer;
const deflated = (message: object) => Uint8Array.of(1, ...deflateRawSync(pack(message))).buffer;

function opened(format: 'auto' | 'msgpack', protocol: string) {
  FakeSocket.all = [];
  const socket = openPacked(Packed, 'ws://bridge.test/ws', format);
  const inner = FakeSocket.all[0] as Packed;
  inner.protocol = protocol;
  const heard: unknown[] = [];
  socket.onmessage = ({ data }) => heard.push(data);
  socket.onclose = () => heard.push('closed');
  return { socket, inner, heard };
}

describe('a socket of packed messages', () => {
  it('offers both, or the one that must be', () => {
    expect(opened('auto', '').inner.protocols).toEqual(['courant.v1.msgpack', 'courant.v1.json']);
    expect(opened('msgpack', '').inner.protocols).toEqual(['courant.v1.msgpack']);
  });

  it('packs what is sent and unpacks what comes', () => {
    const { socket, inner, heard } = opened('auto', 'courant.v1.msgpack');
    expect(inner.binaryType).toBe('arraybuffer');
    socket.send('{"id":1,"type":"ping"}');
    expect(inner.raw).toEqual([Uint8Array.of(0, ...pack({ id: 1, type: 'ping' }))]);
    inner.hears(plain({ type: 'pong', id: 1 }));
    expect(heard).toEqual([{ type: 'pong', id: 1 }]);
  });

  it('is one of JSON where the bridge takes that', () => {
    const { socket, inner, heard } = opened('auto', 'courant.v1.json');
    socket.send('{"type":"ping"}');
    inner.hears('{"type":"pong"}');
    expect([inner.raw, heard]).toEqual([['{"type":"ping"}'], ['{"type":"pong"}']]);
  });

  it('keeps the order though inflating takes its time, and the end is the last', async () => {
    const { inner, heard } = opened('auto', 'courant.v1.msgpack');
    const large = { type: 'snapshot', topic: 'mine', job: job({ operation: 'x'.repeat(5_000) }) };
    inner.hears(plain({ at: 1 }));
    inner.hears(deflated(large));
    inner.hears(plain({ at: 3 }));
    inner.hears(deflated({ at: 4 }));
    inner.hears(plain({ at: 5 }));
    inner.ends(1006);
    expect(heard).toEqual([{ at: 1 }]);
    await expect.poll(() => heard.length).toBe(6);
    expect(heard).toEqual([{ at: 1 }, large, { at: 3 }, { at: 4 }, { at: 5 }, 'closed']);
    inner.hears(plain({ at: 7 }));
    await expect.poll(() => heard.at(-1)).toEqual({ at: 7 });
  });

  it('says of what cannot be unpacked that it is nothing, and goes on', async () => {
    const { inner, heard } = opened('auto', 'courant.v1.msgpack');
    inner.hears(Uint8Array.of(1, 255, 255).buffer);
    inner.hears(Uint8Array.of(0, 0xc1).buffer);
    inner.hears(Uint8Array.of(7).buffer);
    inner.hears(new ArrayBuffer(0));
    inner.hears(plain({ at: 1 }));
    await expect.poll(() => heard.length).toBe(5);
    expect(heard).toEqual([null, null, null, null, { at: 1 }]);
  });
});

describe('a client that may pack', () => {
  it('is live by packed messages, and asks in them', async () => {
    FakeSocket.all = [];
    const made = client({ WebSocket: Packed, format: 'auto' });
    made.watch('mine');
    made.connect();
    await vi.waitFor(() => expect(FakeSocket.all).toHaveLength(1));
    const inner = FakeSocket.all[0] as Packed;
    inner.protocol = 'courant.v1.msgpack';
    inner.open();
    const asked = () => inner.raw.map((message) => unpack((message as Uint8Array).subarray(1)));
    expect(asked()).toEqual([{ id: 0, type: 'auth', token: 'token' }]);
    inner.hears(plain({ id: 0, type: 'connected', ...accepted, user: 'ann' }));
    expect(made.connection).toMatchObject({ status: 'connected', user: 'ann', transport: 'websocket' });
    await vi.waitFor(() => expect(asked().at(-1)).toMatchObject({ type: 'subscribe', topic: 'mine' }));
    inner.hears(deflated({ type: 'snapshot', topic: 'mine', job: job({ filename: 'ä.pdf' }) }));
    await vi.waitFor(() => expect(made.jobs.get('J1')?.job.filename).toBe('ä.pdf'));
    made.close();
  });
});
