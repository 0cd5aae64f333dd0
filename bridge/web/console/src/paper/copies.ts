/** The documents that were just submitted here, so that their pages are drawn without fetching what one had a moment ago. */

const atHand = new Map<string, Blob>();
const most = 24;

export function keep(jobId: string, file: Blob): void {
  atHand.set(jobId, file);
  const [oldest] = atHand.keys();
  if (atHand.size > most && oldest !== undefined) atHand.delete(oldest);
}

export function copyOf(jobId: string): Blob | null {
  return atHand.get(jobId) ?? null;
}

/** Passwords that were given for documents in this tab; nowhere else. */
const passwords = new Map<string, string>();

export function keepPassword(jobId: string, password: string): void {
  passwords.set(jobId, password);
}

export function passwordOf(jobId: string): string | undefined {
  return passwords.get(jobId);
}

/** The next person at this device must not find them. */
export function forget(): void {
  atHand.clear();
  passwords.clear();
}
