/** What the history shows, as it stands in the address: a link to a search is the search. */
import { type JobState, jobStates, type Lane, type ListOptions, lanes } from '@courant/client';

export interface Filters {
  readonly words: string;
  readonly states: readonly JobState[];
  readonly lane: Lane | null;
  /** A day, `2026-11-21`. */
  readonly since: string;
}

export function readFilters(query: string): Filters {
  const from = new URLSearchParams(query);
  const asked = from.getAll('state');
  const since = from.get('since') ?? '';
  return {
    words: from.get('q') ?? '',
    states: jobStates.filter((state) => asked.includes(state)),
    lane: lanes.find((lane) => lane === from.get('lane')) ?? null,
    since: /^\d{4}-\d\d-\d\d$/.test(since) ? since : '',
  };
}

export function writeFilters({ words, states, lane, since }: Filters): string {
  const query = new URLSearchParams();
  if (words !== '') query.set('q', words);
  for (const state of states) query.append('state', state);
  if (lane !== null) query.set('lane', lane);
  if (since !== '') query.set('since', since);
  return query.size === 0 ? '' : `?${query}`;
}

const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** The day's beginning where the reader is. */
function midnight(day: string): string | null {
  const time = new Date(`${day}T00:00:00`);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

/** As the server understands it (AIP-160). Each word must be found; quoted, so that it can hold anything. */
export function serverFilter({ words, lane, since }: Filters): string {
  const from = since === '' ? null : midnight(since);
  return [
    ...words.split(/\s+/).filter(Boolean).map(quoted),
    ...(lane === null ? [] : [`lane = ${lane.toUpperCase()}`]),
    ...(from === null ? [] : [`create_time >= ${quoted(from)}`]),
  ].join(' AND ');
}

export function listOptions(filters: Filters): ListOptions {
  const filter = serverFilter(filters);
  return {
    pageSize: 50,
    ...(filters.states.length > 0 ? { states: filters.states } : {}),
    ...(filter === '' ? {} : { filter }),
  };
}
