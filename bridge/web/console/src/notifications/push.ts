/**
 * Web Push: the bridge sends notifications, sealed for this browser, also while no page is open. `public/push.js` shows them. What
 * can be missing is missing in some browser: then there is none, and a page in the background shows notifications itself.
 */
import type { CourantClient } from '@courant/client';

const subscriptions = 'v1/push/subscriptions';
let registered: ServiceWorkerRegistration | null = null;

/** The service worker that shows notifications; `null` where none are pushed. */
export const pushRegistration = (): ServiceWorkerRegistration | null => registered;

/** The key of this service; `null` where nothing is pushed. */
async function keyOf(client: CourantClient): Promise<string | null> {
  const answer = await client.request('GET', 'v1/push/key');
  const key = answer instanceof Object && 'publicKey' in answer ? answer.publicKey : null;
  return typeof key === 'string' ? key : null;
}

function base64url(bytes: ArrayBuffer | null | undefined): string {
  const text = String.fromCharCode(...new Uint8Array(bytes ?? new ArrayBuffer(0)));
  return btoa(text).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

/** Subscribes this browser, or says again that it is. Safe to repeat; whether notifications are pushed now. */
export async function subscribePush(client: CourantClient): Promise<boolean> {
  const { serviceWorker } = navigator;
  if (!serviceWorker || !('PushManager' in globalThis)) return false;
  try {
    const key = await keyOf(client);
    if (key === null) return false;
    await serviceWorker.register('/push.js');
    const registration = await serviceWorker.ready;
    const { pushManager } = registration;
    let subscription = await pushManager.getSubscription();
    if (subscription && base64url(subscription.options.applicationServerKey) !== key) {
      await subscription.unsubscribe();
      subscription = null;
    }
    subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    await client.request('PUT', subscriptions, subscription.toJSON());
    registered = registration;
    return true;
  } catch {
    // No push service, no network, or a bridge that knows nothing of it.
    return false;
  }
}

/** Nothing is pushed to this browser any more; for the next person at it as well. */
export async function unsubscribePush(client: CourantClient): Promise<void> {
  registered = null;
  try {
    const registration = await navigator.serviceWorker?.getRegistration('/');
    const subscription = await registration?.pushManager?.getSubscription();
    if (!subscription) return;
    const { endpoint } = subscription;
    // Also when the bridge cannot be reached: the push service then refuses what it sends.
    await subscription.unsubscribe();
    await client.request('DELETE', subscriptions, { endpoint });
  } catch {
    // It was none, or is none now.
  }
}

interface Opened {
  readonly open: string;
  readonly notificationId: string | null;
}

const isOpened = (data: unknown): data is Opened =>
  data instanceof Object && 'open' in data && typeof data.open === 'string' && data.open.startsWith('#/');

/** Goes where a clicked notification leads, and marks it as read. Listens until the returned function is called. */
export function openClickedNotifications(client: CourantClient): () => void {
  const { serviceWorker } = navigator;
  const open = ({ data }: MessageEvent<unknown>): void => {
    if (!isOpened(data)) return;
    location.hash = data.open;
    if (data.notificationId) void client.markRead([data.notificationId]).catch(() => undefined);
  };
  serviceWorker?.addEventListener('message', open);
  return () => serviceWorker?.removeEventListener('message', open);
}
