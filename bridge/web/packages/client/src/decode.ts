/** From the text of a WebSocket message to a `ServerMessage`. Nothing unchecked passes this file. */
import * as parts from './decode-job.ts';
import { exportEventTypes, plainJobEventTypes, type ServerMessage, stateTypes } from './messages.ts';
import * as read from './read.ts';

/** What came out: a message, something a newer bridge says (to be ignored), or something broken. */
export type Decoded =
  | { readonly kind: 'message'; readonly message: ServerMessage }
  | { readonly kind: 'unknown'; readonly type: string }
  | { readonly kind: 'broken'; readonly reason: string };

type Decoder = (from: read.Json) => ServerMessage;

const id = (from: read.Json): number | null => read.numberOrNull(from, 'id');
const retryAfterMs = (from: read.Json): number | null => read.numberOrNull(from, 'retryAfterMs');

const replies: Record<string, Decoder> = {
  connected: (from) => {
    const limits = read.isObject(from['limits']) ? from['limits'] : {};
    return {
      type: 'connected',
      id: id(from),
      connectionId: read.text(from, 'connectionId'),
      user: read.text(from, 'user'),
      roles: read.list(from, 'roles', read.string),
      tokenExpiresAt: read.textOrNull(from, 'tokenExpiresAt'),
      pingIntervalMs: read.numberOr(from, 'pingIntervalMs', 25_000),
      pongTimeoutMs: read.numberOr(from, 'pongTimeoutMs', 8_000),
      limits: {
        maxMessageBytes: read.numberOr(limits, 'maxMessageBytes', 65_536),
        maxSubscriptions: read.numberOr(limits, 'maxSubscriptions', 128),
        messagesPerSecond: read.numberOr(limits, 'messagesPerSecond', 50),
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
    retryable: from['retryable'] === true,
    retryAfterMs: retryAfterMs(from),
  }),
};

const topicPushes: Record<string, Decoder> = {
  snapshot: (from) => ({
    type: 'snapshot',
    topic: read.text(from, 'topic'),
    cursor: read.textOrNull(from, 'cursor'),
    job: parts.job(from['job']),
  }),
  live: (from) => ({
    type: 'live',
    topic: read.text(from, 'topic'),
    cursor: read.textOrNull(from, 'cursor'),
  }),
  bookmark: (from) => ({
    type: 'bookmark',
    topic: read.text(from, 'topic'),
    cursor: read.textOrNull(from, 'cursor'),
  }),
  gap: (from) => ({ type: 'gap', topic: read.text(from, 'topic'), reason: read.text(from, 'reason') }),
  stalled: (from) => ({ type: 'stalled', topic: read.text(from, 'topic'), code: read.text(from, 'code') }),
  unsubscribed: (from) => ({
    type: 'unsubscribed',
    topic: read.text(from, 'topic'),
    code: read.text(from, 'code'),
  }),
};

const connectionPushes: Record<string, Decoder> = {
  'auth-expiring': () => ({ type: 'auth-expiring' }),
  draining: (from) => ({ type: 'draining', retryAfterMs: retryAfterMs(from) }),
  closing: (from) => ({
    type: 'closing',
    code: read.number(from, 'code'),
    reason: read.text(from, 'reason'),
    message: read.textOrNull(from, 'message') ?? '',
    retryAfterMs: retryAfterMs(from),
  }),
};

const common = (from: read.Json) => ({
  topic: read.text(from, 'topic'),
  cursor: read.textOrNull(from, 'cursor'),
  folded: read.numberOr(from, 'folded', 0),
  job: parts.job(from),
});

const jobPushes: Record<string, Decoder> = {
  'zone-processing': (from) => ({
    type: 'zone-processing',
    ...common(from),
    zone: parts.zone(read.object(from['zone'], 'zone')),
  }),
  'zone-completed': (from) => ({
    type: 'zone-completed',
    topic: read.text(from, 'topic'),
    jobId: read.text(from, 'jobId'),
    revision: read.number(from, 'revision'),
    zone: parts.zone(read.object(from['zone'], 'zone')),
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
    page: parts.page(read.object(from['page'], 'page')),
  }),
};
for (const type of plainJobEventTypes) {
  jobPushes[type] = (from) => ({ type, ...common(from) });
}
for (const type of stateTypes) {
  jobPushes[type] = (from) => ({
    type,
    // The answer to a command belongs to no topic.
    topic: read.textOrNull(from, 'topic') ?? '',
    cursor: read.textOrNull(from, 'cursor'),
    body: from,
  });
}
for (const type of exportEventTypes) {
  jobPushes[type] = (from) => ({
    type,
    ...common(from),
    export: parts.exported(read.object(from['export'], 'export')),
  });
}

const decoders = new Map<string, Decoder>(
  Object.entries({ ...replies, ...topicPushes, ...connectionPushes, ...jobPushes }),
);

/** Reads one message of the bridge. Never throws. */
export function decode(data: unknown): Decoded {
  if (typeof data !== 'string') return { kind: 'broken', reason: 'not a text message' };
  try {
    const from = read.object(JSON.parse(data), 'message');
    const type = read.text(from, 'type');
    const decoder = decoders.get(type);
    return decoder ? { kind: 'message', message: decoder(from) } : { kind: 'unknown', type };
  } catch (cause) {
    return { kind: 'broken', reason: cause instanceof Error ? cause.message : String(cause) };
  }
}
