/**
 * Reading untrusted JSON field by field. A wrong kind throws `ShapeError`; unknown fields are never looked at. What is read
 * is named by the types the bridge generates (`wire.generated.ts`): a field that is renamed, changes its kind or may be
 * missing now is an error of the compiler here.
 */

export type Json = Readonly<Record<string, unknown>>;

declare const wire: unique symbol;
/** Unchecked JSON that is to be a `W`. */
export type Raw<W> = Json & { readonly [wire]?: W };
/** The fields of `W` that are there and hold a `T`. */
type Sure<W, T> = { [K in keyof W]-?: W[K] extends T ? K : never }[keyof W] & string;
/** The fields of `W` that hold a `T` when they hold anything. */
type Maybe<W, T> = { [K in keyof W]-?: NonNullable<W[K]> extends T ? K : never }[keyof W] & string;
type Item<T> = T extends readonly (infer I)[] ? I : never;

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

export function object<W>(value: unknown, field: string): Raw<W> {
  return isObject(value) ? value : fail(field, 'an object');
}

/** What `field` of the JSON holds, to be read as what the bridge says it is. */
export function part<W, K extends Maybe<NoInfer<W>, object>>(from: Raw<W>, field: K): Raw<NonNullable<W[K]>> {
  return object(from[field], field);
}

export function text<W>(from: Raw<W>, field: Sure<NoInfer<W>, string>): string {
  return given(from, field);
}

/** A text that may be missing as far as the bridge's types go, and never is. */
export function given<W>(from: Raw<W>, field: Maybe<NoInfer<W>, string>): string {
  const value = from[field];
  return typeof value === 'string' ? value : fail(field, 'a string');
}

function finite(from: Json, field: string): number {
  const value = from[field];
  return typeof value === 'number' && Number.isFinite(value) ? value : fail(field, 'a number');
}

export function number<W>(from: Raw<W>, field: Sure<NoInfer<W>, number>): number {
  return finite(from, field);
}

export function textOrNull<W>(from: Raw<W>, field: Maybe<NoInfer<W>, string>): string | null {
  return from[field] == null ? null : given(from, field);
}

export function numberOrNull<W>(from: Raw<W>, field: Maybe<NoInfer<W>, number>): number | null {
  return from[field] == null ? null : finite(from, field);
}

/** A number, or `fallback` when it is left out. */
export function numberOr<W>(from: Raw<W>, field: Maybe<NoInfer<W>, number>, fallback: number): number {
  return numberOrNull(from, field) ?? fallback;
}

/** What is not said is no. */
export function flag<W>(from: Raw<W>, field: Maybe<NoInfer<W>, boolean>): boolean {
  return from[field] === true;
}

export function list<W, T, K extends Maybe<NoInfer<W>, readonly unknown[]>>(
  from: Raw<W>,
  field: K,
  read: (item: unknown, of?: Item<NonNullable<W[K]>>) => T,
): readonly T[] {
  const value = from[field];
  if (value == null) return [];
  return Array.isArray(value) ? value.map((item) => read(item)) : fail(field, 'a list');
}

export function optional<W, T, K extends Maybe<NoInfer<W>, object>>(
  from: Raw<W>,
  field: K,
  read: (value: Raw<NonNullable<W[K]>>) => T,
): T | null {
  return from[field] == null ? null : read(part(from, field));
}

/** One of the known words; a word of a newer bridge becomes `fallback`. */
export function word<W, T extends string>(
  from: Raw<W>,
  field: Sure<NoInfer<W>, string>,
  known: readonly T[],
  fallback: T,
): T {
  const value = text(from, field);
  return known.find((candidate) => candidate === value) ?? fallback;
}

/** One of the known words; there is no sensible reading of any other. */
export function exactWord<W, T extends string>(
  from: Raw<W>,
  field: Sure<NoInfer<W>, string>,
  known: readonly T[],
): T {
  const value = text(from, field);
  return known.find((candidate) => candidate === value) ?? fail(field, `one of ${known.join(', ')}`);
}

export function string(value: unknown): string {
  return typeof value === 'string' ? value : fail('item', 'a string');
}

/** Reads an item of a list as what the bridge says it is. */
export function each<W, T>(take: (from: Raw<W>) => T): (item: unknown, of?: W) => T {
  return (item) => take(object(item, 'item'));
}
