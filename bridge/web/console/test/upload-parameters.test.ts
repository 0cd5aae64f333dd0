import { describe, expect, it } from 'vitest';
import { isAboutParameters, readParameters } from '../src/upload/parameters.ts';

const errorOf = (text: string): string | null => {
  const input = readParameters(text);
  return input.ok ? null : input.error;
};

describe('parameters that are typed in', () => {
  it('are an object, or none', () => {
    expect(readParameters(' \n')).toEqual({ ok: true, parameters: null });
    expect(readParameters(' {"a": [1]} ')).toEqual({
      ok: true,
      parameters: { text: '{"a": [1]}', value: { a: [1] } },
    });
  });

  it('are refused with the reason before anything is sent', () => {
    expect(errorOf('{"a": }')).toMatch(/^This is not valid JSON: /);
    expect(['[]', '3', 'null', '"a"'].map(errorOf)).toEqual(
      Array(4).fill('Parameters must be a JSON object, as in {"key": "value"}.'),
    );
    expect(errorOf(JSON.stringify({ text: 'é'.repeat(33_000) }))).toMatch(/at most 64 KiB/);
    expect(errorOf('{"id": [9007199254740993]}')).toMatch(/too large for browsers/);
  });

  it('are known to be what a server refused', () => {
    expect(
      ['parameters: must be JSON', 'Parameters must be JSON', 'name is too long'].map(isAboutParameters),
    ).toEqual([true, true, false]);
  });
});
