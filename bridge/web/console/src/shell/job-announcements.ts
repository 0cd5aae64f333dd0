/** Turns events into toasts, desktop notifications, and into sentences for screen readers. */
import type { CourantClient, Job, JobEvent } from '@courant/client';
import { formatCount, sentenceCase } from '@courant/react/format';
import { hasPages } from '../jobs/job-pages.ts';
import { showDesktopNotification } from '../notifications/desktop.ts';
import { toast } from '../ui/toasts.ts';
import { jobHref } from './route.ts';

function sentence(type: JobEvent['type'], job: Job): string | null {
  switch (type) {
    case 'job-queued':
      return `${job.filename} is queued.`;
    case 'job-started':
      return `${job.filename} is running.`;
    case 'job-retrying':
      return `${job.filename} is being retried.`;
    case 'job-cancelling':
      return `${job.filename} is being cancelled.`;
    case 'job-completed':
      return `${[`${job.filename} succeeded`, ...made(job)].join(', ')}.`;
    case 'job-failed':
      return `${job.filename} failed. ${job.error?.message ?? ''}`;
    case 'job-cancelled':
      return `${job.filename} was cancelled.`;
    default:
      return null;
  }
}

/** What came of a job, in words. */
function made(job: Job): readonly string[] {
  if (hasPages(job)) return [formatCount(job.pagesDone, 'page')];
  return job.outputs.length > 0 ? [formatCount(job.outputs.length, 'output')] : [];
}

interface JobToast {
  readonly tone: 'good' | 'bad';
  readonly title: string;
  readonly text: string;
}

function toastOf(type: JobEvent['type'], job: Job): JobToast | null {
  if (type === 'job-completed') {
    return { tone: 'good', title: `${job.filename} succeeded`, text: made(job).join() };
  }
  if (type !== 'job-failed') return null;
  const text = job.error === null ? '' : sentenceCase(job.error.message);
  return { tone: 'bad', title: `${job.filename} failed`, text };
}

const group = { name: 'succeeded', several: (count: number) => `${count} documents succeeded` };

function show(type: JobEvent['type'], job: Job): void {
  const message = toastOf(type, job);
  if (message === null) return;
  const { tone, title, text } = message;
  const href = jobHref(job.jobId);
  const id = `job-${job.jobId}-${job.revision}`;
  toast({ tone, title, text, href, group: tone === 'good' ? group : undefined });
  showDesktopNotification(title, text, href, id);
}

/** Listens until the returned function is called. */
export function announceJobEvents(client: CourantClient, announce: (sentence: string) => void): () => void {
  return client.onEvent((event) => {
    // Only `mine`: topics of single jobs send the same events again, and old ones when they are replayed.
    if (event.topic !== 'mine' || !('job' in event)) return;
    show(event.type, event.job);
    const words = sentence(event.type, event.job);
    if (words !== null) announce(words);
  });
}
