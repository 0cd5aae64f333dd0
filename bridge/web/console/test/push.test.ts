// @vitest-environment jsdom
import type { CourantClient } from '@courant/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { pushRegistration, subscribePush, unsubscribePush } from '../src/notifications/push.ts';

const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;

/** A browser with a push service, subscribed or not, and a bridge that answers with a key. */
function place(publicKey: string | null, subscribedWith: string | null) {
  const done: string[] = [];
  const made = (key: string) => ({
    endpoint: `to ${key}`,
    options: { applicationServerKey: bytes(atob(key)) },
    toJSON: () => ({ endpoint: `to ${key}` }),
    unsubscribe: async () => {
      done.push('unsubscribed');
      current = null;
    },
  });
  let current = subscribedWith === null ? null : made(subscribedWith);
  const pushManager = {
    getSubscription: async () => current,
    subscribe: async ({ applicationServerKey }: { applicationServerKey: string }) => {
      done.push(`subscribed ${applicationServerKey}`);
      current = made(applicationServerKey);
      return current;
    },
  };
  const registration = { pushManager };
  const serviceWorker = {
    register: async () => registration,
    ready: Promise.resolve(registration),
    getRegistration: async () => registration,
  };
  vi.stubGlobal('PushManager', class {});
  vi.stubGlobal('navigator', { serviceWorker });
  const request = async (method: string, path: string, body?: unknown) => {
    if (method === 'GET') return { publicKey };
    done.push(`${method} ${path} ${JSON.stringify(body)}`);
    return null;
  };
  return { done, client: { request } as unknown as CourantClient };
}

describe('Web Push', () => {
  afterEach(async () => {
    vi.unstubAllGlobals();
  });

  it('takes the subscription there is, and makes another for another key', async () => {
    const same = place('QUJD', 'QUJD');
    expect(await subscribePush(same.client)).toBe(true);
    expect(same.done).toEqual(['PUT v1/push/subscriptions {"endpoint":"to QUJD"}']);
    const other = place('REVG', 'QUJD');
    expect(await subscribePush(other.client)).toBe(true);
    expect(other.done).toEqual([
      'unsubscribed',
      'subscribed REVG',
      'PUT v1/push/subscriptions {"endpoint":"to REVG"}',
    ]);
    expect(pushRegistration()).not.toBeNull();
    await unsubscribePush(other.client);
    expect(other.done.slice(3)).toEqual([
      'unsubscribed',
      'DELETE v1/push/subscriptions {"endpoint":"to REVG"}',
    ]);
    expect(pushRegistration()).toBeNull();
  });

  it('is none where the bridge has no key, knows nothing of it, or the browser cannot', async () => {
    const off = place(null, null);
    expect(await subscribePush(off.client)).toBe(false);
    expect(off.done).toEqual([]);
    const older = { request: () => Promise.reject(new Error('NOT_FOUND')) } as unknown as CourantClient;
    expect(await subscribePush(older)).toBe(false);
    vi.stubGlobal('navigator', {});
    expect(await subscribePush(off.client)).toBe(false);
    await unsubscribePush(off.client);
    expect(pushRegistration()).toBeNull();
  });
});
