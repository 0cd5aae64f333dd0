import { CSPProvider } from '@base-ui/react/csp-provider';
import { CourantClient } from '@courant/client';
import { CourantProvider, useConnection } from '@courant/react';
import { Suspense, useEffect, useRef, useState } from 'react';
import { JobPage } from './detail/JobPage.tsx';
import { Home } from './jobs/Home.tsx';
import { RecentJobs, RecentJobsProvider } from './jobs/recent-jobs.tsx';
import { renewPush } from './notifications/desktop.ts';
import { openClickedNotifications } from './notifications/push.ts';
import { SignIn } from './session/SignIn.tsx';
import { SwitchUser } from './session/SwitchUser.tsx';
import { hasSignedOut, signInMessage, signOut, subjectOf, useSession } from './session/session.ts';
import { Banner } from './shell/Banner.tsx';
import { ErrorBoundary } from './shell/ErrorBoundary.tsx';
import { Header } from './shell/Header.tsx';
import { announceJobEvents } from './shell/job-announcements.ts';
import { Nav } from './shell/Nav.tsx';
import { parseRoute, type Route, useHash, viewKey } from './shell/route.ts';
import {
  AdminPage,
  BatchPage,
  HistoryPage,
  NotificationsPage,
  prefetch,
  QueuePage,
  WebhooksPage,
} from './shell/views.ts';
import { Toasts } from './ui/Toasts.tsx';
import { UploadsProvider } from './upload/context.tsx';
import { restoreUnfinished, saveUnfinished } from './upload/unfinished-uploads.ts';
import { Uploads } from './upload/uploads.ts';

export function App() {
  const { token, notification } = useSession();
  return (
    // The content policy lets no inline style through.
    <CSPProvider disableStyleElements>
      {token === null ? <SignIn notification={notification} /> : <SignedIn key={token} token={token} />}
    </CSPProvider>
  );
}

/** Changes are shown with the next frame; a hidden tab has none and must not pile them up. */
function nextFrame(flush: () => void): void {
  if (document.visibilityState === 'hidden') setTimeout(flush, 250);
  else requestAnimationFrame(flush);
}

function start(token: string) {
  const client = new CourantClient({ token: () => token, schedule: nextFrame });
  const recent = new RecentJobs(client.jobs);
  return { client, recent, uploads: new Uploads(client, (jobId) => recent.keep(jobId), subjectOf(token)) };
}

function SignedIn({ token }: { readonly token: string }) {
  const [{ client, uploads, recent }] = useState(() => start(token));
  const [announced, announce] = useState('');

  useEffect(() => {
    client.connect();
    const unwatch = client.watch('mine', { minIntervalMs: 250 });
    const user = subjectOf(token);
    restoreUnfinished(user, uploads);
    const stop = [
      recent.start(),
      announceJobEvents(client, announce),
      openClickedNotifications(client),
      unwatch,
    ];
    void renewPush(client);
    return () => {
      for (const each of stop) each();
      if (!hasSignedOut()) saveUnfinished(user, uploads);
      client.disconnect();
    };
  }, [client, recent, uploads, token]);

  return (
    <CourantProvider client={client}>
      <UploadsProvider value={uploads}>
        <RecentJobsProvider value={recent}>
          <Shell announced={announced} />
        </RecentJobsProvider>
      </UploadsProvider>
    </CourantProvider>
  );
}

function Shell({ announced }: { readonly announced: string }) {
  const state = useConnection();
  const route = parseRoute(useHash());
  const tokenRefused = state.status === 'failed' && (state.code === 4401 || state.code === 4403);
  const reason = state.status === 'failed' ? state.reason : '';
  useEffect(() => {
    if (tokenRefused) signOut(signInMessage(reason));
  }, [tokenRefused, reason]);

  const view = viewKey(route);
  useFocusOnMove(view);
  useEffect(prefetch, []);

  return (
    <Toasts>
      <button type="button" className="skip" onClick={skipToMain}>
        Skip to the content
      </button>
      <div className="shell">
        <Header />
        <Nav route={route} />
        <Banner />
        <main id="main" tabIndex={-1}>
          <ErrorBoundary key={view} part="This view">
            <Suspense fallback={<Loading />}>
              <View route={route} />
            </Suspense>
          </ErrorBoundary>
        </main>
      </div>
      <SwitchUser />
      <p className="hidden" aria-live="polite" data-testid="announcer">
        {announced}
      </p>
    </Toasts>
  );
}

function View({ route }: { readonly route: Route }) {
  switch (route.page) {
    case 'home':
      return <Home />;
    case 'job':
      return <JobPage key={route.jobId} jobId={route.jobId} />;
    case 'batch':
      return <BatchPage key={route.batchId} batchId={route.batchId} />;
    case 'history':
      return <HistoryPage query={route.query} />;
    case 'queue':
      return <QueuePage />;
    case 'notifications':
      return <NotificationsPage />;
    case 'webhooks':
      return <WebhooksPage />;
    case 'admin':
      return <AdminPage />;
  }
}

function Loading() {
  return <div className="skeleton-card" aria-busy="true" />;
}

/** Coming to another view, the keyboard starts at its beginning instead of nowhere. */
function useFocusOnMove(view: string): void {
  const before = useRef(view);
  useEffect(() => {
    if (before.current === view) return;
    before.current = view;
    document.getElementById('main')?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [view]);
}

function skipToMain(): void {
  document.getElementById('main')?.focus();
}
