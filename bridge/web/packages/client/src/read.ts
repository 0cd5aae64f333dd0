/**
 * Reading untrusted JSON. A reader checks one value and gives it out as its type; `readers.generated.ts` puts them together from the
 * bridge's schema. A wrong kind throws `ShapeError`, which names the field; fields that nobody asks for are left out.
 */

export type Json = Readonly<Record<string, unknown>>;

/** Checks a value; `field` is what to call it in an error. */
export type Reader<T> = (value: unknown, field: string) => T;

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

export const json: Reader<Json> = (value, field) => (isObject(value) ? value : fail(field, 'an object'));

export const text: Reader<string> = (value, field) =>
  typeof value === 'string' ? value : fail(field, 'a string');

/** Whatever it is: what is in it is between its maker and its user. */
export const unread: Reader<unknown> = (value) => value;

export const number: Reader<number> = (value, field) =>
  typeof value === 'number' && Number.isFinite(value) ? value : fail(field, 'a number');

export const flag: Reader<boolean> = (value, field) =>
  typeof value === 'boolean' ? value : fail(field, 'true or false');

/** A number; one outside of the range becomes the nearest in it. */
export const range =
  (least: number, most: number): Reader<number> =>
  (value, field) =>
    Math.min(most, Math.max(least, number(value, field)));

/** `null` also when it is left out. */
export const nullable =
  <T>(read: Reader<T>): Reader<T | null> =>
  (value, field) =>
    value == null ? null : read(value, field);

/** `fallback` when it is left out: by a bridge that is older than the field. */
export const optional =
  <T>(read: Reader<T>, fallback: T): Reader<T> =>
  (value, field) =>
    value === undefined ? fallback : read(value, field);

/** One of the known words. A word of a newer bridge becomes `fallback`; without one it is an error. */
export const word =
  <T extends string>(known: readonly T[], fallback?: NoInfer<T>): Reader<T> =>
  (value, field) => {
    const given = text(value, field);
    return known.find((one) => one === given) ?? fallback ?? fail(field, `one of ${known.join(', ')}`);
  };

export const list =
  <T>(read: Reader<T>): Reader<readonly T[]> =>
  (value, field) =>
    Array.isArray(value) ? value.map((item) => read(item, field)) : fail(field, 'a list');

/** Leaves out the items it cannot read, so that what a newer bridge adds does not hide the others. */
export const listOfKnown =
  <T>(read: Reader<T>): Reader<readonly T[]> =>
  (value, field) =>
    list((item) => item)(value, field).flatMap((item) => {
      try {
        return [read(item, field)];
      } catch {
        return [];
      }
    });

/** An object with any names. */
export const record =
  <T>(read: Reader<T>): Reader<Readonly<Record<string, T>>> =>
  (value, field) =>
    Object.fromEntries(Object.entries(json(value, field)).map(([name, item]) => [name, read(item, name)]));

/** An object with these fields. */
export const object = <T extends object>(readers: { readonly [K in keyof T]-?: Reader<T[K]> }): Reader<T> => {
  const all = Object.entries(readers) as [string, Reader<unknown>][];
  return (value, field) => {
    const from = json(value, field);
    return Object.fromEntries(all.map(([name, read]) => [name, read(from[name], name)])) as T;
  };
};
