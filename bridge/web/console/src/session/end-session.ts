/** Ending a session: what is pushed to this device is for this user, not for the next. */
import type { CourantClient } from '@courant/client';
import { setDesktopNotifications } from '../notifications/desktop.ts';
import { signIn, signOut } from './session.ts';

/** The server may be away; nobody waits for it longer than this. */
const timeoutMs = 2_000;

async function endPush(client: CourantClient): Promise<void> {
  const timeout = new Promise((resolve) => setTimeout(resolve, timeoutMs));
  await Promise.race([setDesktopNotifications(client, false), timeout]);
}

export async function endSession(client: CourantClient): Promise<void> {
  await endPush(client);
  signOut();
}

/** Ends the session and begins that of another user. */
export async function switchUser(client: CourantClient, token: string): Promise<void> {
  await endPush(client);
  signIn(token);
}
