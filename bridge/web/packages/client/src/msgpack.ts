/**
 * MessagePack as far as it is JSON (PROTOCOL.md, section 1): maps with text for keys, lists, text, numbers, booleans and nil.
 * Anything else is an error, as is what comes too short or too long.
 */

/** What is nested deeper than any message of the protocol. */
const deepest = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true });

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(depth = 0): unknown {
    if (depth > deepest) throw new RangeError('nested too deeply');
    const tag = this.#uint(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.#map(tag & 0x0f, depth);
    if (tag < 0xa0) return this.#list(tag & 0x0f, depth);
    if (tag < 0xc0) return this.#text(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    return this.#long(tag, depth);
  }

  #long(tag: number, depth: number): unknown {
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return tag === 0xc3;
      case 0xca:
        return this.#view.getFloat32(this.#skip(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#uint(1 << (tag - 0xcc));
      case 0xcf:
        return Number(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return Number(this.#view.getBigInt64(this.#skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#uint(1 << (tag - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#list(this.#uint(2 << (tag - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#uint(2 << (tag - 0xde)), depth);
      default:
        throw new TypeError(`type ${tag} is none of JSON`);
    }
  }

  /** Advances by so many bytes and returns the offset where they begin. */
  #skip(bytes: number): number {
    const from = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) throw new RangeError('the message is cut off');
    return from;
  }

  #uint(bytes: number): number {
    const from = this.#skip(bytes);
    if (bytes === 1) return this.#view.getUint8(from);
    return bytes === 2 ? this.#view.getUint16(from) : this.#view.getUint32(from);
  }

  #text(length: number): string {
    const from = this.#skip(length);
    // Names and short words are most of a message, and a decoder called for each of them takes longer than this.
    if (length < 24) {
      let text = '';
      let at = from;
      for (; at < this.#at; at++) {
        const code = this.#view.getUint8(at);
        if (code > 0x7f) break;
        text += String.fromCharCode(code);
      }
      if (at === this.#at) return text;
    }
    return utf8.decode(this.#bytes.subarray(from, this.#at));
  }

  #list(length: number, depth: number): unknown[] {
    const list: unknown[] = [];
    for (let at = 0; at < length; at++) list.push(this.value(depth + 1));
    return list;
  }

  #map(length: number, depth: number): object {
    const entries: [string, unknown][] = [];
    for (let at = 0; at < length; at++) {
      const key = this.value(depth + 1);
      if (typeof key !== 'string') throw new TypeError('a key is no text');
      entries.push([key, this.value(depth + 1)]);
    }
    // Unlike an assignment this gives `__proto__` no power.
    return Object.fromEntries(entries);
  }
}

/** The one value that the bytes are. */
export function unpack(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (!reader.isAtEnd) throw new RangeError('something follows the message');
  return value;
}

const encoder = new TextEncoder();

/** A number in so many bytes, the most significant first. */
function big(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, at) => Math.floor(value / 2 ** (8 * (bytes - 1 - at))) & 0xff);
}

/** How long something is, in the shortest of the forms there are for it. */
function sized(
  length: number,
  fix: number,
  most: number,
  tags: readonly (readonly [number, number])[],
): number[] {
  if (length <= most) return [fix | length];
  const form = tags.find(([, bytes]) => length < 2 ** (8 * bytes));
  if (form === undefined) throw new RangeError('too long');
  return [form[0], ...big(length, form[1])];
}

function number(value: number): number[] {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) {
    return sized(value, 0, 0x7f, [
      [0xcc, 1],
      [0xcd, 2],
      [0xce, 4],
    ]);
  }
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return [0xcb, ...new Uint8Array(view.buffer)];
}

function bytesOf(value: unknown): number[] {
  if (value === null) return [0xc0];
  if (typeof value === 'boolean') return [value ? 0xc3 : 0xc2];
  if (typeof value === 'number') return number(value);
  if (typeof value === 'string') {
    const text = encoder.encode(value);
    const head = sized(text.length, 0xa0, 0x1f, [
      [0xd9, 1],
      [0xda, 2],
      [0xdb, 4],
    ]);
    return [...head, ...text];
  }
  if (Array.isArray(value)) {
    const head = sized(value.length, 0x90, 0x0f, [
      [0xdc, 2],
      [0xdd, 4],
    ]);
    return [...head, ...value.flatMap(bytesOf)];
  }
  const entries = Object.entries(value as object);
  const head = sized(entries.length, 0x80, 0x0f, [
    [0xde, 2],
    [0xdf, 4],
  ]);
  return [...head, ...entries.flatMap(([key, item]) => [...bytesOf(key), ...bytesOf(item)])];
}

/** A value of JSON as bytes. For commands, which are small. */
export function pack(value: unknown): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytesOf(value));
}
