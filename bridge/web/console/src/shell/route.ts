/** Where one is: `#/`, `#/jobs/ID`, `#/batches/ID`, `#/history?…`, `#/queue`, `#/notifications`, `#/webhooks`, `#/admin`. */
import { useSyncExternalStore } from 'react';

export type Route =
  | { readonly page: 'home' | 'queue' | 'notifications' | 'webhooks' | 'admin' }
  | { readonly page: 'history'; readonly query: string }
  | { readonly page: 'job'; readonly jobId: string }
  | { readonly page: 'batch'; readonly batchId: string };

export const home = '#/';
export const historyPage = '#/history';
export const queuePage = '#/queue';
export const notificationsPage = '#/notifications';
export const webhooksPage = '#/webhooks';
export const adminPage = '#/admin';

export function jobHref(jobId: string): string {
  return `#/jobs/${encodeURIComponent(jobId)}`;
}

export function batchHref(batchId: string): string {
  return `#/batches/${encodeURIComponent(batchId)}`;
}

export function searchHref(words: string): string {
  return words === '' ? historyPage : `${historyPage}?${new URLSearchParams({ q: words })}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [first, second] = path.split('/');
  if (first === 'jobs' && second) return { page: 'job', jobId: decoded(second) };
  if (first === 'batches' && second) return { page: 'batch', batchId: decoded(second) };
  if (first === 'history') return { page: 'history', query };
  if (first === 'queue' || first === 'notifications' || first === 'webhooks' || first === 'admin')
    return { page: first };
  return { page: 'home' };
}

/** What makes one view another: the filters of the history do not. */
export function viewKey(route: Route): string {
  if (route.page === 'job') return `job ${route.jobId}`;
  return route.page === 'batch' ? `batch ${route.batchId}` : route.page;
}

function subscribe(listener: () => void): () => void {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
}

export function useHash(): string {
  return useSyncExternalStore(subscribe, () => location.hash);
}
