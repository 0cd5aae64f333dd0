/** Where one is: `#/` or `#/jobs/ID`. */
import { useSyncExternalStore } from 'react';

export type Route = { readonly page: 'home' } | { readonly page: 'job'; readonly jobId: string };

export const home = '#/';

export function jobHref(jobId: string): string {
  return `#/jobs/${encodeURIComponent(jobId)}`;
}

export function parse(hash: string): Route {
  const jobId = /^#\/jobs\/([^/]+)$/.exec(hash)?.[1];
  return jobId === undefined ? { page: 'home' } : { page: 'job', jobId: decodeURIComponent(jobId) };
}

function subscribe(listener: () => void): () => void {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
}

export function useHash(): string {
  return useSyncExternalStore(subscribe, () => location.hash);
}
