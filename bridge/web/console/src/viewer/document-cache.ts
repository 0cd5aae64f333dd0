/** The documents that were just submitted here, so that their pages are drawn without fetching what one had a moment ago. */

const documents = new Map<string, Blob>();
const maxDocuments = 24;

export function cacheDocument(jobId: string, file: Blob): void {
  documents.set(jobId, file);
  const [oldest] = documents.keys();
  if (documents.size > maxDocuments && oldest !== undefined) documents.delete(oldest);
}

export function cachedDocument(jobId: string): Blob | null {
  return documents.get(jobId) ?? null;
}

/** Passwords that were given for documents in this tab; nowhere else. */
const passwords = new Map<string, string>();

export function cachePassword(jobId: string, password: string): void {
  passwords.set(jobId, password);
}

export function cachedPassword(jobId: string): string | undefined {
  return passwords.get(jobId);
}

/** The next person at this device must not find them. */
export function clearDocumentCache(): void {
  documents.clear();
  passwords.clear();
}
