/** Leaving a session: what is pushed to this device is for who leaves, not for who comes next. */
import type { CourantClient } from '@courant/client';
import { setWished } from '../notifications/desktop.ts';
import { signIn, signOut } from './session.ts';

/** The server may be away; nobody waits for it longer than this. */
const patienceMs = 2_000;

async function endPush(client: CourantClient): Promise<void> {
  const patience = new Promise((resolve) => setTimeout(resolve, patienceMs));
  await Promise.race([setWished(client, false), patience]);
}

export async function leave(client: CourantClient): Promise<void> {
  await endPush(client);
  signOut();
}

/** Leaves, and signs in as somebody else. */
export async function leaveFor(client: CourantClient, token: string): Promise<void> {
  await endPush(client);
  signIn(token);
}
