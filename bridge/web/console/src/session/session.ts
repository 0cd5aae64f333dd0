/** Who is signed in: a token in this tab's storage and nowhere else. */
import { useSyncExternalStore } from 'react';
import { forget } from '../paper/copies.ts';

export interface Session {
  readonly token: string | null;
  /** Why the last session ended, in words for the sign-in card. */
  readonly notice: string | null;
}

const key = 'courant.token';
const listeners = new Set<() => void>();
let session: Session = { token: stored(), notice: null };

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
  set({ token: token.trim(), notice: null });
}

/** Ends the session; what this device kept of it goes as well, unless one only has to sign in again. */
export function signOut(notice: string | null = null): void {
  if (notice === null) forget();
  set({ token: null, notice });
}

/** Whether somebody left on purpose, rather than that the token ran out. */
export function hasLeft(): boolean {
  return session.token === null && session.notice === null;
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

/** Takes `#token=…` out of the address and signs in with it. */
export function takeTokenFromAddress(): void {
  const token = /^#token=([^&]+)/.exec(location.hash)?.[1];
  if (token === undefined) return;
  history.replaceState(null, '', `${location.pathname}${location.search}`);
  signIn(decodeURIComponent(token));
}

addEventListener('hashchange', takeTokenFromAddress);

/** A token, or the whole link with one in it, as people paste it. `null` when it is neither. */
export function tokenFrom(pasted: string): string | null {
  const text = pasted.trim();
  const token = /[#&]token=([^&\s]+)/.exec(text)?.[1] ?? text;
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token) ? token : null;
}

/** What to say when the bridge no longer takes the token. */
export function refusal(code: string): string {
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
