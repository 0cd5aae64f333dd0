/** Numbers as people say them. */

export function seconds(value: number | null): string {
  if (value === null) return 'not known yet';
  if (value < 60) return `${Math.max(1, Math.round(value))} s`;
  return value < 3600 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

export function count(number: number, one: string): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : `${one}s`}`;
}
