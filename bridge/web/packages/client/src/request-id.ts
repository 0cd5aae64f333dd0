/** Ids that make a call safe to repeat. */

/** A new id for `requestId`. Works without a secure context, where `crypto.randomUUID` is missing. */
export function newRequestId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
