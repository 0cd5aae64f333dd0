/**
 * Documents submitted from this browser, kept for a day so that their pages can be drawn after a reload. They never go
 * anywhere else, are bounded in number and size, and leave when one signs out.
 */

interface Kept {
  readonly jobId: string;
  readonly file: Blob;
  readonly keptAt: number;
}

const name = 'courant-documents';
const store = 'documents';
const longestMs = 24 * 60 * 60_000;
/** Larger documents are not kept: the disk of the device is its owner's. */
const mostBytes = 128_000_000;
const mostBytesInAll = 512_000_000;
/** Those of this visit; also where there is no storage. */
const atHand = new Map<string, Blob>();
const mostAtHand = 32;

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: 'jobId' });
  return settled(request);
}

async function within<T>(mode: IDBTransactionMode, run: (docs: IDBObjectStore) => Promise<T>): Promise<T> {
  const database = await open();
  try {
    return await run(database.transaction(store, mode).objectStore(store));
  } finally {
    database.close();
  }
}

/** Old ones go, and the oldest when there are too many bytes. */
async function makeRoom(docs: IDBObjectStore, bytes: number): Promise<void> {
  const all = (await settled(docs.getAll())) as Kept[];
  let left = mostBytesInAll - bytes;
  for (const { jobId, file, keptAt } of all.sort((a, b) => b.keptAt - a.keptAt)) {
    left -= file.size;
    if (left < 0 || Date.now() - keptAt > longestMs) await settled(docs.delete(jobId));
  }
}

export async function keep(jobId: string, file: Blob): Promise<void> {
  atHand.set(jobId, file);
  const [oldest] = atHand.keys();
  if (atHand.size > mostAtHand && oldest !== undefined) atHand.delete(oldest);
  if (file.size > mostBytes) return;
  const kept: Kept = { jobId, file, keptAt: Date.now() };
  try {
    await within('readwrite', async (docs) => {
      await makeRoom(docs, file.size);
      await settled(docs.put(kept));
    });
  } catch {
    // Without storage the pages can be drawn until a reload.
  }
}

export async function find(jobId: string): Promise<Blob | null> {
  const known = atHand.get(jobId);
  if (known) return known;
  try {
    const kept = (await within('readonly', (docs) => settled(docs.get(jobId)))) as Kept | undefined;
    const good = kept?.file instanceof Blob && Date.now() - kept.keptAt < longestMs;
    return good ? kept.file : null;
  } catch {
    return null;
  }
}

/** Forgets everything; the next person at this device must not find it. */
export function forget(): void {
  atHand.clear();
  try {
    indexedDB.deleteDatabase(name);
  } catch {
    // There was nothing to forget.
  }
}

/** Whether a file is the job's document. Without a secure context its size has to do. */
export async function isDocument(file: Blob, bytes: number, sha256: string): Promise<boolean> {
  if (file.size !== bytes) return false;
  if (!globalThis.crypto?.subtle) return true;
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex === sha256;
}
