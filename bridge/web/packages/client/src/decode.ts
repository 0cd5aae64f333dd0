/** From a WebSocket message to a `ServerMessage`. Nothing unchecked passes this file. */
import * as parts from './decode-job.ts';
import { exportEventTypes, plainJobEventTypes, type ServerMessage, stateTypes } from './messages.ts';
import * as read from './read.ts';
import type * as wire from './wire.generated.ts';

/** What came out: a message, something a newer bridge says (to be ignored), or something broken. */
export type Decoded =
  | { readonly kind: 'message'; readonly message: ServerMessage }
  | { readonly kind: 'unknown'; readonly type: string }
  | { readonly kind: 'broken'; readonly reason: string };

type WireType = wire.ServerMessage['type'];
/** Reads the messages of one type; a decoder for each of them is asked for below. */
type Decoder<T extends WireType> = (
  from: read.Raw<Extract<wire.ServerMessage, { readonly type: T }>>,
) => ServerMessage;
type Decoders<T extends WireType> = { readonly [K in T]: Decoder<K> };

const id = (from: read.Raw<wire.Reply>): number | null => read.numberOrNull(from, 'id');

/** A place in a topic, as `live` and `bookmark` say it. */
const mark = (from: read.Raw<wire.Mark>) => ({
  topic: read.text(from, 'topic'),
  cursor: read.textOrNull(from, 'cursor'),
});

const common = (from: read.Raw<wire.JobEvent>) => ({
  topic: read.text(from, 'topic'),
  cursor: read.textOrNull(from, 'cursor'),
  folded: read.numberOr(from, 'folded', 0),
  job: parts.job(from),
});

/** Decoders of types that are read alike. */
function alike<T extends WireType>(types: readonly T[], decoder: (type: T) => Decoder<T>): Decoders<T> {
  return Object.fromEntries(types.map((type) => [type, decoder(type)])) as unknown as Decoders<T>;
}

const decoders: Decoders<WireType> = {
  connected: (from) => {
    const limits: read.Raw<wire.Limits> = read.optional(from, 'limits', (found) => found) ?? {};
    return {
      type: 'connected',
      id: id(from),
      connectionId: read.text(from, 'connectionId'),
      deviceId: read.textOrNull(from, 'deviceId'),
      user: read.text(from, 'user'),
      roles: read.list(from, 'roles', read.string),
      tokenExpiresAt: read.textOrNull(from, 'tokenExpiresAt'),
      pingIntervalMs: read.numberOr(from, 'pingIntervalMs', 25_000),
      pongTimeoutMs: read.numberOr(from, 'pongTimeoutMs', 8_000),
      limits: {
        maxMessageBytes: read.numberOr(limits, 'maxMessageBytes', 65_536),
        maxSubscriptions: read.numberOr(limits, 'maxSubscriptions', 128),
        messagesPerSecond: read.numberOr(limits, 'messagesPerSecond', 50),
        messageBurst: read.numberOrNull(limits, 'messageBurst'),
      },
    };
  },
  'auth-error': (from) => ({
    type: 'auth-error',
    id: id(from),
    code: read.text(from, 'code'),
    message: read.text(from, 'message'),
  }),
  subscribed: (from) => ({
    type: 'subscribed',
    id: id(from),
    topic: read.text(from, 'topic'),
    mode: read.exactWord(from, 'mode', ['resumed', 'snapshot']),
    reason: read.textOrNull(from, 'reason'),
    cursor: read.textOrNull(from, 'cursor'),
  }),
  ok: (from) => ({ type: 'ok', id: id(from) }),
  pong: (from) => ({ type: 'pong', id: id(from) }),
  error: (from) => ({
    type: 'error',
    id: id(from),
    code: read.text(from, 'code'),
    message: read.text(from, 'message'),
    retryable: read.flag(from, 'retryable'),
    retryAfterMs: read.numberOrNull(from, 'retryAfterMs'),
    topic: read.textOrNull(from, 'topic'),
  }),
  snapshot: (from) => ({
    type: 'snapshot',
    topic: read.text(from, 'topic'),
    job: parts.job(read.part(from, 'job')),
  }),
  live: (from) => ({ type: 'live', ...mark(from) }),
  bookmark: (from) => ({ type: 'bookmark', ...mark(from) }),
  gap: (from) => ({ type: 'gap', topic: read.text(from, 'topic'), reason: read.text(from, 'reason') }),
  stalled: (from) => ({ type: 'stalled', topic: read.text(from, 'topic'), code: read.text(from, 'code') }),
  unsubscribed: (from) => ({
    type: 'unsubscribed',
    topic: read.text(from, 'topic'),
    code: read.text(from, 'code'),
  }),
  'auth-expiring': () => ({ type: 'auth-expiring' }),
  draining: (from) => ({ type: 'draining', retryAfterMs: read.numberOrNull(from, 'retryAfterMs') }),
  closing: (from) => ({
    type: 'closing',
    code: read.number(from, 'code'),
    reason: read.text(from, 'reason'),
    message: read.textOrNull(from, 'message') ?? '',
    retryAfterMs: read.numberOrNull(from, 'retryAfterMs'),
  }),
  'zone-processing': (from) => ({
    type: 'zone-processing',
    ...common(from),
    zone: parts.zone(read.part(from, 'zone')),
  }),
  'zone-completed': (from) => ({
    type: 'zone-completed',
    topic: read.text(from, 'topic'),
    jobId: read.text(from, 'jobId'),
    revision: read.number(from, 'revision'),
    zone: parts.zone(read.part(from, 'zone')),
  }),
  'job-deleted': (from) => ({
    type: 'job-deleted',
    topic: read.text(from, 'topic'),
    cursor: read.textOrNull(from, 'cursor'),
    jobId: read.text(from, 'jobId'),
    documentId: read.text(from, 'documentId'),
    batchId: read.textOrNull(from, 'batchId'),
    owner: read.text(from, 'owner'),
    revision: read.number(from, 'revision'),
    timestamp: read.textOrNull(from, 'timestamp'),
  }),
  'page-completed': (from) => ({
    type: 'page-completed',
    ...common(from),
    page: parts.page(read.part(from, 'page')),
  }),
  ...alike(plainJobEventTypes, (type) => (from) => ({ type, ...common(from) })),
  ...alike(exportEventTypes, (type) => (from) => ({
    type,
    ...common(from),
    export: parts.exported(read.part(from, 'export')),
  })),
  ...alike(stateTypes, (type) => (from) => ({
    type,
    // The answer to a command belongs to no topic.
    topic: read.textOrNull(from, 'topic') ?? '',
    cursor: read.textOrNull(from, 'cursor'),
    body: from,
  })),
};

const isKnown = (type: string): type is WireType => Object.hasOwn(decoders, type);

/** Reads one message of the bridge, as text or unpacked already. Never throws. */
export function decode(data: unknown): Decoded {
  try {
    const from = read.object<wire.ServerMessage>(
      typeof data === 'string' ? JSON.parse(data) : data,
      'message',
    );
    const type = read.text(from, 'type');
    return isKnown(type)
      ? { kind: 'message', message: (decoders[type] as Decoder<WireType>)(from as never) }
      : { kind: 'unknown', type };
  } catch (cause) {
    return { kind: 'broken', reason: cause instanceof Error ? cause.message : String(cause) };
  }
}
