/**
 * A WebSocket that uses MessagePack where the bridge does, and looks like one that uses JSON: texts are sent to it, and what
 * it hears is unpacked. A bridge that took JSON instead is let through as it is.
 */
import { pack, unpack } from './msgpack.ts';
import { type SocketConstructor, type SocketLike, subprotocol } from './socket.ts';

const packedSubprotocol = 'courant.v1.msgpack';
/** The first byte of a message. */
const plain = 0;
const deflated = 1;

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Opens a socket that takes packed messages where both sides can, or must. */
export function openPacked(made: SocketConstructor, url: string, format: 'auto' | 'msgpack'): SocketLike {
  if (format === 'msgpack') return new PackedSocket(made, url, [packedSubprotocol]);
  return typeof DecompressionStream === 'function'
    ? new PackedSocket(made, url, [packedSubprotocol, subprotocol])
    : new made(url, [subprotocol]);
}

class PackedSocket implements SocketLike {
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  onerror: SocketLike['onerror'] = null;
  readonly #socket: SocketLike & Partial<Pick<WebSocket, 'binaryType' | 'protocol'>>;
  /** What came and waits for something before it that is being inflated. */
  #before: Promise<void> | null = null;

  constructor(made: SocketConstructor, url: string, subprotocols: string[]) {
    const socket: SocketLike & { binaryType?: BinaryType } = new made(url, subprotocols);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    const self = this as unknown as WebSocket;
    socket.onopen = (event) => this.onopen?.call(self, event);
    socket.onerror = (event) => this.onerror?.call(self, event);
    // Messages that came before the end are delivered before it.
    socket.onclose = (event) => this.#inTurn(() => this.onclose?.call(self, event));
    socket.onmessage = ({ data }) => this.#receive(data);
  }

  send(text: string): void {
    if (this.#socket.protocol !== packedSubprotocol) {
      this.#socket.send(text);
      return;
    }
    const packed = pack(JSON.parse(text));
    const message = new Uint8Array(packed.length + 1);
    message[0] = plain;
    message.set(packed, 1);
    this.#socket.send(message);
  }

  close(code?: number): void {
    this.#socket.close(code);
  }

  #receive(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) {
      this.#inTurn(() => this.#say(data));
      return;
    }
    const bytes = new Uint8Array(data);
    if (bytes[0] === plain) this.#inTurn(() => this.#sayUnpacked(bytes.subarray(1)));
    else if (bytes[0] === deflated) this.#inTurnOnce(inflate(bytes.subarray(1)));
    else this.#inTurn(() => this.#say(null));
  }

  /** At once, or after what came before. */
  #inTurn(work: () => void): void {
    if (this.#before === null) work();
    else this.#queue(async () => work());
  }

  /** Inflated side by side, delivered in order. */
  #inTurnOnce(inflated: Promise<Uint8Array>): void {
    // Looked at in its turn; until then it is no unhandled failure.
    inflated.catch(() => undefined);
    this.#queue(async () => {
      const bytes = await inflated.catch(() => null);
      if (bytes === null) this.#say(null);
      else this.#sayUnpacked(bytes);
    });
  }

  #queue(work: () => Promise<void>): void {
    const turn: Promise<void> = (this.#before ?? Promise.resolve())
      .then(work)
      // A listener that fails is reported as with any socket, and keeps nothing from those after it.
      .catch((error: unknown) =>
        setTimeout(() => {
          throw error;
        }),
      )
      .then(() => {
        if (this.#before === turn) this.#before = null;
      });
    this.#before = turn;
  }

  #sayUnpacked(bytes: Uint8Array): void {
    let message: unknown = null;
    try {
      message = unpack(bytes);
    } catch {
      // Said as what no message is: the connection reports it as broken.
    }
    this.#say(message);
  }

  #say(data: unknown): void {
    this.onmessage?.call(this as unknown as WebSocket, { data } as MessageEvent);
  }
}
