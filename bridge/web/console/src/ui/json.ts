/** Larger texts are slow to take apart and are shown as they came. */
const mostCharacters = 1_500_000;

/** JSON with two spaces of indentation; what is no JSON, or has numbers that a browser would round, stays as it is. */
export function indentJson(text: string): string {
  if (text.length > mostCharacters) return text;
  let isExact = true;
  try {
    const value: unknown = JSON.parse(text, (_, each: unknown) => {
      if (typeof each === 'number' && Math.abs(each) > Number.MAX_SAFE_INTEGER) isExact = false;
      return each;
    });
    return isExact ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}
