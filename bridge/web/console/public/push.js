// Shows what comes by Web Push while nobody looks at a page of ours, and opens what it is about. See src/notifications/push.ts.

addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil(clients.claim()));

/** What was sent; something plain when it is not what the protocol says. */
function read(data) {
  try {
    return { title: 'Courant', body: '', notificationId: null, jobId: null, ...data?.json() };
  } catch {
    return { title: 'Courant', body: 'There is something new.', notificationId: null, jobId: null };
  }
}

async function show(notification) {
  const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
  // A visible page shows a toast itself.
  if (pages.some(({ visibilityState }) => visibilityState === 'visible')) return;
  const { title, body, notificationId, jobId } = notification;
  const hash = jobId ? `#/jobs/${encodeURIComponent(jobId)}` : '#/notifications';
  // The same tag as a hidden page gives: the notification is shown once.
  await registration.showNotification(title, {
    body,
    tag: notificationId ?? 'summary',
    icon: '/icon.svg',
    data: { hash, notificationId },
  });
}

async function open({ hash = '#/notifications', notificationId = null } = {}) {
  const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
  const page = pages.find(({ focused }) => focused) ?? pages[0];
  if (page === undefined) {
    await clients.openWindow(`/${hash}`);
    return;
  }
  page.postMessage({ open: hash, notificationId });
  // Not every browser lets a click bring a page to the front.
  await page.focus().catch(() => undefined);
}

addEventListener('push', (event) => event.waitUntil(show(read(event.data))));

addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data ?? {}));
});
