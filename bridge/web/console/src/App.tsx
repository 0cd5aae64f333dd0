import { CourantClient } from '@courant/client';
import { CourantProvider, useConnection } from '@courant/react';
import { useEffect, useRef, useState } from 'react';
import { JobPage } from './detail/JobPage.tsx';
import { Home } from './jobs/Home.tsx';
import { Recent, RecentProvider } from './jobs/recent.tsx';
import { SignIn } from './session/SignIn.tsx';
import { refusal, signOut, useSession } from './session/session.ts';
import { Banner } from './shell/Banner.tsx';
import { ErrorBoundary } from './shell/ErrorBoundary.tsx';
import { Header } from './shell/Header.tsx';
import { spreadNews } from './shell/news.ts';
import { parse, useHash } from './shell/route.ts';
import { Toasts } from './ui/Toasts.tsx';
import { UploadsProvider } from './upload/context.tsx';
import { Uploads } from './upload/uploads.ts';

export function App() {
  const { token, notice } = useSession();
  return token === null ? <SignIn notice={notice} /> : <SignedIn key={token} token={token} />;
}

/** Changes are shown with the next frame; a hidden tab has none and must not pile them up. */
function nextFrame(flush: () => void): void {
  if (document.visibilityState === 'hidden') setTimeout(flush, 250);
  else requestAnimationFrame(flush);
}

function start(token: string) {
  const client = new CourantClient({ token: () => token, schedule: nextFrame });
  return { client, uploads: new Uploads(client), recent: new Recent(client.jobs) };
}

function SignedIn({ token }: { readonly token: string }) {
  const [{ client, uploads, recent }] = useState(() => start(token));
  const [announced, announce] = useState('');

  useEffect(() => {
    client.connect();
    const unwatch = client.watch('mine', { minIntervalMs: 250 });
    const stop = [recent.start(), spreadNews(client, announce), unwatch];
    return () => {
      for (const each of stop) each();
      client.disconnect();
    };
  }, [client, recent]);

  return (
    <CourantProvider client={client}>
      <UploadsProvider value={uploads}>
        <RecentProvider value={recent}>
          <Shell announced={announced} />
        </RecentProvider>
      </UploadsProvider>
    </CourantProvider>
  );
}

function Shell({ announced }: { readonly announced: string }) {
  const state = useConnection();
  const route = parse(useHash());
  const tokenRefused = state.status === 'failed' && (state.code === 4401 || state.code === 4403);
  const reason = state.status === 'failed' ? state.reason : '';
  useEffect(() => {
    if (tokenRefused) signOut(refusal(reason));
  }, [tokenRefused, reason]);

  useFocusOnMove(route.page === 'job' ? route.jobId : route.page);

  return (
    <>
      <button type="button" className="skip" onClick={skipToMain}>
        Skip to the content
      </button>
      <Header />
      <Banner />
      <main id="main" tabIndex={-1}>
        <ErrorBoundary key={route.page === 'job' ? route.jobId : 'home'} part="This view">
          {route.page === 'job' ? <JobPage key={route.jobId} jobId={route.jobId} /> : <Home />}
        </ErrorBoundary>
      </main>
      <p className="hidden" aria-live="polite" data-testid="announcer">
        {announced}
      </p>
      <Toasts />
    </>
  );
}

/** Coming to another view, the keyboard starts at its beginning instead of nowhere. */
function useFocusOnMove(view: string): void {
  const before = useRef(view);
  useEffect(() => {
    if (before.current === view) return;
    before.current = view;
    document.getElementById('main')?.focus({ preventScroll: true });
  }, [view]);
}

function skipToMain(): void {
  document.getElementById('main')?.focus();
}
