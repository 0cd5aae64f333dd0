/** Notifications of the operating system, once they are allowed and while nobody looks at the page. */
import { useSyncExternalStore } from 'react';

export type Permission = 'missing' | 'off' | 'on' | 'denied';

const key = 'courant.desktop-notices';
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
  return Notification.permission === 'granted' && wished ? 'on' : 'off';
}

/** Asks the browser when it has not been asked yet. Must be called from a click. */
export async function setWished(on: boolean): Promise<void> {
  wished = on;
  try {
    localStorage.setItem(key, on ? 'on' : 'off');
  } catch {
    // The wish lasts as long as the page.
  }
  if (on && Notification.permission === 'default') await Notification.requestPermission();
  changed();
}

export function usePermission(): Permission {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, permission);
}

export function notify(title: string, text: string, href: string | null, tag: string): void {
  if (document.visibilityState === 'visible' || permission() !== 'on') return;
  try {
    // One tag for all tabs: the browser shows it once.
    const shown = new Notification(title, { body: text, tag, icon: '/icon.svg' });
    shown.onclick = () => {
      focus();
      if (href !== null) location.hash = href;
      shown.close();
    };
  } catch {
    // Some browsers take them from service workers only.
  }
}
