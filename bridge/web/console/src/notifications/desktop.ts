/** Notifications of the operating system, once they are allowed and while nobody looks at the page. */
import type { CourantClient } from '@courant/client';
import { useSyncExternalStore } from 'react';
import { pushed, subscribe, unsubscribe } from './push.ts';

/** `pushed`: on, and they come also while no page is open. */
export type Permission = 'missing' | 'off' | 'on' | 'pushed' | 'denied';

const key = 'courant.desktop-notifications';
const listeners = new Set<() => void>();
let wished = stored();

function stored(): boolean {
  try {
    return localStorage.getItem(key) === 'on';
  } catch {
    return false;
  }
}

function changed(): void {
  for (const listener of listeners) listener();
}

// Another tab of the same person; and the browser's own settings, which may take the permission back.
addEventListener('storage', (event) => {
  if (event.key !== key) return;
  wished = event.newValue === 'on';
  changed();
});
navigator.permissions?.query({ name: 'notifications' }).then(
  (status) => status.addEventListener('change', changed),
  () => undefined,
);

export function permission(): Permission {
  if (typeof Notification !== 'function') return 'missing';
  if (Notification.permission === 'denied') return 'denied';
  if (Notification.permission !== 'granted' || !wished) return 'off';
  return pushed() === null ? 'on' : 'pushed';
}

/** A page that begins says again where notifications are to be pushed, if they are wished for. */
export async function renew(client: CourantClient): Promise<void> {
  if (permission() === 'on' && (await subscribe(client))) changed();
}

/** Asks the browser when it has not been asked yet. Must be called from a click. */
export async function setWished(client: CourantClient, on: boolean): Promise<void> {
  wished = on;
  try {
    localStorage.setItem(key, on ? 'on' : 'off');
  } catch {
    // The wish lasts as long as the page.
  }
  if (on && Notification.permission === 'default') await Notification.requestPermission();
  changed();
  if (permission() === 'on') await subscribe(client);
  if (!on) await unsubscribe(client);
  changed();
}

export function usePermission(): Permission {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, permission);
}

/** Shows a notification; `id` is that of the bridge, and one for all tabs and what is pushed: the browser shows it once. */
export function notify(title: string, text: string, href: string, id: string): void {
  const state = permission();
  if (document.visibilityState === 'visible' || (state !== 'on' && state !== 'pushed')) return;
  const options = { body: text, tag: id, icon: '/icon.svg' };
  const worker = pushed();
  if (worker !== null) {
    const data = { hash: href, notificationId: id };
    worker.showNotification(title, { ...options, data }).catch(() => undefined);
    return;
  }
  try {
    const shown = new Notification(title, options);
    shown.onclick = () => {
      focus();
      location.hash = href;
      shown.close();
    };
  } catch {
    // Some browsers take them from service workers only.
  }
}
