/** Larger texts are slow to take apart and are shown as they came. */
const mostCharacters = 1_500_000;

/** JSON with two spaces of indentation; what is no JSON stays as it is. */
export function indentJson(text: string): string {
  if (text.length > mostCharacters) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
