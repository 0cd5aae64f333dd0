/**
 * Who is signed in: a token in this tab's storage and nowhere else. A link with a token signs in where nobody is; where somebody
 * is, it never replaces another user's session without being asked for, nor a good token by one that the server does not take.
 */
import { useSyncExternalStore } from 'react';
import { toast } from '../ui/toasts.ts';
import { clearDocumentCache } from '../viewer/document-cache.ts';

export interface Session {
  readonly token: string | null;
  /** Why the last session ended, in words for the sign-in card. */
  readonly notification: string | null;
  /** A link was opened that signs in as somebody else. */
  readonly offer: { readonly token: string; readonly user: string } | null;
}

const key = 'courant.token';
const listeners = new Set<() => void>();
let session: Session = { token: stored(), notification: null, offer: null };
/** Who was signed in last: what is kept of a person in this tab is nobody else's. */
let lastUser = session.token === null ? '' : subjectOf(session.token);

function stored(): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

function set(next: Session): void {
  session = next;
  try {
    if (next.token === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, next.token);
  } catch {
    // Storage is switched off: the session lasts until a reload.
  }
  for (const listener of listeners) listener();
}

export function signIn(token: string): void {
  const user = subjectOf(token);
  if (lastUser !== '' && user !== lastUser) clearDocumentCache();
  lastUser = user;
  set({ token: token.trim(), notification: null, offer: null });
}

/** Stays who one is, whatever a link offers. */
export function declineOffer(): void {
  set({ ...session, offer: null });
}

/** Ends the session; what this device kept of it goes as well, unless one only has to sign in again. */
export function signOut(notification: string | null = null): void {
  if (notification === null) clearDocumentCache();
  set({ token: null, notification, offer: null });
}

/** Whether somebody left on purpose, rather than that the token ran out. */
export function hasSignedOut(): boolean {
  return session.token === null && session.notification === null;
}

/** Whose token it is; the bridge judges it. Empty when it is none. */
export function subjectOf(token: string): string {
  try {
    const [, payload = ''] = token.split('.');
    const claims: unknown = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/')));
    return claims instanceof Object && 'sub' in claims ? String(claims.sub) : '';
  } catch {
    return '';
  }
}

/** Takes `#token=…` out of the address. Signs in with it where nobody is signed in; else see `consider`. */
export function takeTokenFromAddress(): void {
  const text = /^#token=([^&]+)/.exec(location.hash)?.[1];
  if (text === undefined) return;
  history.replaceState(null, '', `${location.pathname}${location.search}`);
  const token = decoded(text);
  if (session.token === null) signIn(token);
  else if (token !== session.token) void handleTokenLink(token);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Renews the session of the same user without a word, and offers that of another. The server says whose token it is. */
async function handleTokenLink(token: string): Promise<void> {
  const before = session.token;
  const user = await userOf(token);
  // Somebody signed out or in meanwhile.
  if (before === null || session.token !== before) return;
  if (user === null) {
    toast({
      tone: 'bad',
      title: 'The link could not sign you in',
      text: `Its token is not accepted, or the server cannot be reached. You are still signed in as ${subjectOf(before)}.`,
    });
  } else if (user === subjectOf(before)) signIn(token);
  else set({ ...session, offer: { token, user } });
}

/** `null` when the server does not take the token, or cannot be asked. */
async function userOf(token: string): Promise<string | null> {
  try {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch('/v1/session', { headers, credentials: 'omit', cache: 'no-store' });
    const body: unknown = answer.ok ? await answer.json() : null;
    return body instanceof Object && 'user' in body && typeof body.user === 'string' ? body.user : null;
  } catch {
    return null;
  }
}

addEventListener('hashchange', takeTokenFromAddress);

/** A token, or the whole link with one in it, as people paste it. `null` when it is neither. */
export function parseToken(pasted: string): string | null {
  const text = pasted.trim();
  const token = /[#&]token=([^&\s]+)/.exec(text)?.[1] ?? text;
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token) ? token : null;
}

/** What to say when the bridge no longer takes the token. */
export function signInMessage(code: string): string {
  switch (code) {
    case 'TOKEN_EXPIRED':
      return 'Your session has ended: the token ran out. Sign in with a new one.';
    case 'TOKEN_MISSING':
      return 'Sign in to go on.';
    case 'SUBJECT_CHANGED':
      return 'This tab was signed in as somebody else. Sign in again.';
    default:
      return 'This token is not accepted here. Check that you copied all of it, and that it is for this server.';
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useSession(): Session {
  return useSyncExternalStore(subscribe, () => session);
}
