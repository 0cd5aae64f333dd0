/** From a WebSocket message to a `ServerMessage`. Nothing unchecked passes this file. */
import type { ServerMessage, StateType, UpdateType, WholeJobType } from './messages.ts';
import { type Json, json, nullable, type Reader, ShapeError, text } from './read.ts';
import * as readers from './readers.generated.ts';
import type { Messages } from './wire.generated.ts';

/** What came out: a message, something a newer bridge sends (to be ignored), or something broken. */
export type Decoded =
  | { readonly kind: 'message'; readonly message: ServerMessage }
  | { readonly kind: 'unknown'; readonly type: string }
  | { readonly kind: 'broken'; readonly reason: string };

/** All messages that are given out as the schema describes them. */
type PlainType = Exclude<keyof Messages, WholeJobType | UpdateType | StateType>;
const plain: { readonly [T in PlainType]: Reader<Messages[T]> } = {
  connected: readers.readConnected,
  'auth-error': readers.readRefusal,
  subscribed: readers.readSubscribed,
  ok: readers.readReply,
  pong: readers.readReply,
  error: readers.readErrorReply,
  snapshot: readers.readSnapshot,
  live: readers.readMark,
  bookmark: readers.readMark,
  gap: readers.readGap,
  stalled: readers.readEnded,
  unsubscribed: readers.readEnded,
  draining: readers.readDraining,
  closing: readers.readClosing,
  'auth-expiring': readers.readExpiring,
  'zone-completed': readers.readZoneEvent,
  'job-deleted': readers.readDeleted,
};

/** Messages that carry the whole job, and which field says what part of it they are about. */
const partOf: Readonly<Record<WholeJobType, 'page' | 'export' | 'output' | null>> = {
  'job-queued': null,
  'job-started': null,
  'job-planned': null,
  'job-retrying': null,
  'job-cancelling': null,
  'job-completed': null,
  'job-failed': null,
  'job-cancelled': null,
  'page-completed': 'page',
  'export-started': 'export',
  'export-completed': 'export',
  'export-failed': 'export',
  'output-stored': 'output',
};

/** Messages that carry what changes of a job without an event, and which of their fields must not be `null`. */
const partOfUpdate: Readonly<Record<UpdateType, 'currentZone' | 'export' | null>> = {
  'job-progress': null,
  'queue-position': null,
  'zone-processing': 'currentZone',
  'export-progress': 'export',
};

/** Messages that `service.ts` reads. */
const states: Readonly<Record<StateType, true>> = {
  'queue-status': true,
  'system-metrics': true,
  workers: true,
  connections: true,
  audit: true,
  devices: true,
  notification: true,
};

function check<P extends string>(part: P | null, parts: { readonly [K in P]: unknown }): void {
  if (part !== null && parts[part] === null) throw new ShapeError(`field "${part}" is missing`);
}

function wholeJob(type: WholeJobType, from: Json): object {
  const { topic, cursor, ...parts } = readers.readJobEvent(from, type);
  const part = partOf[type];
  check(part, parts);
  return { topic, cursor, job: readers.readJob(from, type), ...(part && { [part]: parts[part] }) };
}

function update(type: UpdateType, from: Json): object {
  const fields = readers.readJobUpdate(from, type);
  check(partOfUpdate[type], fields);
  return { ...fields, coalesced: fields.coalesced ?? 0 };
}

/** The fields of a message; `null` when its type is not known. */
function fieldsOf(type: string, from: Json): object | null {
  if (isOf(plain, type)) return plain[type](from, type);
  if (isOf(partOf, type)) return wholeJob(type, from);
  if (isOf(partOfUpdate, type)) return update(type, from);
  if (!isOf(states, type)) return null;
  // The answer to a command belongs to no topic.
  return {
    topic: optionalText(from['topic'], 'topic') ?? '',
    cursor: optionalText(from['cursor'], 'cursor'),
    body: from,
  };
}

const optionalText = nullable(text);
const isOf = <T extends object>(table: T, type: string): type is keyof T & string =>
  Object.hasOwn(table, type);

/** Reads one message of the bridge, as text or unpacked already. Never throws. */
export function decode(data: unknown): Decoded {
  try {
    const from = json(typeof data === 'string' ? JSON.parse(data) : data, 'message');
    const type = text(from['type'], 'type');
    const fields = fieldsOf(type, from);
    if (fields === null) return { kind: 'unknown', type };
    // The readers above are typed by the message they read.
    return { kind: 'message', message: { type, ...fields } as ServerMessage };
  } catch (cause) {
    return { kind: 'broken', reason: cause instanceof Error ? cause.message : String(cause) };
  }
}
