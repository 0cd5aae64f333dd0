/** The parameters that one types in for the files one chooses next. */

export interface Parameters {
  /** As they were typed. */
  readonly text: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** The server's own limit, in bytes. */
const mostBytes = 64 * 1024;

export type ParametersInput =
  | { readonly ok: true; readonly parameters: Parameters | null }
  | { readonly ok: false; readonly error: string };

const wrong = (error: string): ParametersInput => ({ ok: false, error });

/** Empty is none. */
export function readParameters(typed: string): ParametersInput {
  const text = typed.trim();
  if (text === '') return { ok: true, parameters: null };
  if (new TextEncoder().encode(text).length > mostBytes) return wrong('Parameters may have at most 64 KiB.');
  let unsafe: number | null = null;
  let value: unknown;
  try {
    value = JSON.parse(text, (_, each: unknown) => {
      if (typeof each === 'number' && Math.abs(each) > Number.MAX_SAFE_INTEGER) unsafe ??= each;
      return each;
    });
  } catch (error) {
    return wrong(`This is not valid JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return wrong('Parameters must be a JSON object, as in {"key": "value"}.');
  // A browser would round it, and the worker would get another number.
  if (unsafe !== null) return wrong(`The number ${unsafe} is too large for browsers. Put it in quotes.`);
  return { ok: true, parameters: { text, value: value as Record<string, unknown> } };
}

/** Whether the server refused a submit because of its parameters: its message names the field first. */
export const isAboutParameters = (message: string): boolean => /^parameters\b/i.test(message);
