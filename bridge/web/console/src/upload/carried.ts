/** Files that were on their way when a session ended, for when the same person signs in again in this tab. */
import type { Upload, Uploads } from './uploads.ts';

let carried: { readonly user: string; readonly left: readonly Upload[] } | null = null;

export function carry(user: string, uploads: Uploads): void {
  carried = { user, left: uploads.leave() };
}

/** Goes on with what was carried; what is somebody else's is dropped. */
export function unload(user: string, uploads: Uploads): void {
  if (carried?.user === user) uploads.resume(carried.left);
  carried = null;
}
