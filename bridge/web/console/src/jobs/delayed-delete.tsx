/**
 * Deleting with a way back: the job leaves every list at once, and the server deletes it only when the time to change one's
 * mind is over. A page that is closed before deletes nothing.
 */
import type { CourantClient, Job } from '@courant/client';
import { errorMessage, formatCount } from '@courant/react/format';
import { useSyncExternalStore } from 'react';
import { dismiss, toast } from '../ui/toasts.ts';

const graceMs = 6_000;
const listeners = new Set<() => void>();
let hidden: ReadonlySet<string> = new Set();

function set(next: ReadonlySet<string>): void {
  hidden = next;
  for (const listener of listeners) listener();
}

function show(jobIds: readonly string[]): void {
  set(new Set([...hidden].filter((jobId) => !jobIds.includes(jobId))));
}

async function remove(client: CourantClient, jobs: readonly Job[]): Promise<void> {
  for (const { jobId, filename } of jobs) {
    try {
      await client.delete(jobId);
    } catch (error) {
      toast({ tone: 'bad', title: `${filename} could not be deleted`, text: errorMessage(error) });
    }
  }
  show(jobs.map(({ jobId }) => jobId));
}

/** Deletes finished jobs, unless one changes one's mind within a few seconds. */
export function deleteWithUndo(client: CourantClient, jobs: readonly Job[]): void {
  const jobIds = jobs.map(({ jobId }) => jobId);
  const [first] = jobs;
  if (first === undefined) return;
  set(new Set([...hidden, ...jobIds]));
  const timer = setTimeout(() => void remove(client, jobs), graceMs);
  const undo = () => {
    clearTimeout(timer);
    dismiss(id);
    show(jobIds);
  };
  const id = toast({
    tone: 'plain',
    title: jobs.length === 1 ? `${first.filename} deleted` : `${formatCount(jobs.length, 'job')} deleted`,
    text: 'With its document and results.',
    action: { label: 'Undo', run: undo },
    staysMs: graceMs,
  });
}

/** Jobs that are about to be deleted: no list shows them. */
export function usePendingDeletes(): ReadonlySet<string> {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => hidden,
  );
}
