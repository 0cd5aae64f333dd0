/** Notifications of the operating system, once they are allowed and while nobody looks at the page. */
import type { CourantClient } from '@courant/client';
import { useSyncExternalStore } from 'react';
import { pushRegistration, subscribePush, unsubscribePush } from './push.ts';

/** `pushed`: on, and they come also while no page is open. */
export type DesktopNotifications = 'missing' | 'off' | 'on' | 'pushed' | 'denied';

const key = 'courant.desktop-notifications';
const listeners = new Set<() => void>();
let enabled = stored();

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
  enabled = event.newValue === 'on';
  changed();
});
navigator.permissions?.query({ name: 'notifications' }).then(
  (status) => status.addEventListener('change', changed),
  () => undefined,
);

export function desktopNotifications(): DesktopNotifications {
  if (typeof Notification !== 'function') return 'missing';
  if (Notification.permission === 'denied') return 'denied';
  if (Notification.permission !== 'granted' || !enabled) return 'off';
  return pushRegistration() === null ? 'on' : 'pushed';
}

/** A page that begins says again where notifications are to be pushed, if they are switched on. */
export async function renewPush(client: CourantClient): Promise<void> {
  if (desktopNotifications() === 'on' && (await subscribePush(client))) changed();
}

/** Asks the browser when it has not been asked yet. Must be called from a click. */
export async function setDesktopNotifications(client: CourantClient, on: boolean): Promise<void> {
  enabled = on;
  try {
    localStorage.setItem(key, on ? 'on' : 'off');
  } catch {
    // The choice lasts as long as the page.
  }
  if (on && Notification.permission === 'default') await Notification.requestPermission();
  changed();
  if (desktopNotifications() === 'on') await subscribePush(client);
  if (!on) await unsubscribePush(client);
  changed();
}

export function useDesktopNotifications(): DesktopNotifications {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, desktopNotifications);
}

/** Shows a notification; `id` is that of the bridge, and one for all tabs and what is pushed: the browser shows it once. */
export function showDesktopNotification(title: string, text: string, href: string, id: string): void {
  const state = desktopNotifications();
  if (document.visibilityState === 'visible' || (state !== 'on' && state !== 'pushed')) return;
  const options = { body: text, tag: id, icon: '/icon.svg' };
  const worker = pushRegistration();
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
