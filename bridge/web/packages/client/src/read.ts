/** Reading untrusted JSON field by field. A wrong kind throws `ShapeError`; unknown fields are never looked at. */

export type Json = Readonly<Record<string, unknown>>;

/** A message or answer does not have the shape the protocol promises. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

function fail(field: string, wanted: string): never {
  throw new ShapeError(`field "${field}" is not ${wanted}`);
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function object(value: unknown, field: string): Json {
  return isObject(value) ? value : fail(field, 'an object');
}

export function text(from: Json, field: string): string {
  const value = from[field];
  return typeof value === 'string' ? value : fail(field, 'a string');
}

export function number(from: Json, field: string): number {
  const value = from[field];
  return typeof value === 'number' && Number.isFinite(value) ? value : fail(field, 'a number');
}

export function textOrNull(from: Json, field: string): string | null {
  return from[field] == null ? null : text(from, field);
}

export function numberOrNull(from: Json, field: string): number | null {
  return from[field] == null ? null : number(from, field);
}

/** A number, or `fallback` when it is left out. */
export function numberOr(from: Json, field: string, fallback: number): number {
  return numberOrNull(from, field) ?? fallback;
}

export function list<T>(from: Json, field: string, read: (item: unknown) => T): readonly T[] {
  const value = from[field];
  if (value == null) return [];
  return Array.isArray(value) ? value.map((item) => read(item)) : fail(field, 'a list');
}

export function optional<T>(from: Json, field: string, read: (value: Json) => T): T | null {
  const value = from[field];
  return value == null ? null : read(object(value, field));
}

/** One of the known words; a word of a newer bridge becomes `fallback`. */
export function word<T extends string>(from: Json, field: string, known: readonly T[], fallback: T): T {
  const value = text(from, field);
  return known.find((candidate) => candidate === value) ?? fallback;
}

/** One of the known words; there is no sensible reading of any other. */
export function exactWord<T extends string>(from: Json, field: string, known: readonly T[]): T {
  const value = text(from, field);
  return known.find((candidate) => candidate === value) ?? fail(field, `one of ${known.join(', ')}`);
}

export function string(value: unknown): string {
  return typeof value === 'string' ? value : fail('item', 'a string');
}
