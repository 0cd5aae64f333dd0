/** Files that were on their way when a session ended, for when the same person signs in again in this tab. */
import type { Upload, Uploads } from './uploads.ts';

let saved: { readonly user: string; readonly uploads: readonly Upload[] } | null = null;

export function saveUnfinished(user: string, uploads: Uploads): void {
  saved = { user, uploads: uploads.takeUnfinished() };
}

/** Goes on with what was saved; what is somebody else's is dropped. */
export function restoreUnfinished(user: string, uploads: Uploads): void {
  if (saved?.user === user) uploads.resume(saved.uploads);
  saved = null;
}
