/** Turns events into toasts and into sentences for screen readers. */
import type { CourantClient, Job, JobEvent } from '@courant/client';
import { count, sentenceCase } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { jobHref } from './route.ts';

function sentence(type: JobEvent['type'], job: Job): string | null {
  switch (type) {
    case 'job-queued':
      return `${job.filename} is queued.`;
    case 'job-started':
      return `${job.filename} is being read.`;
    case 'job-retrying':
      return `${job.filename} is tried again.`;
    case 'job-cancelling':
      return `${job.filename} is being cancelled.`;
    case 'job-completed':
      return `${job.filename} is done, ${count(job.pagesDone, 'page')}.`;
    case 'job-failed':
      return `${job.filename} failed. ${job.error?.message ?? ''}`;
    case 'job-cancelled':
      return `${job.filename} was cancelled.`;
    default:
      return null;
  }
}

function show(type: JobEvent['type'], job: Job): void {
  const href = jobHref(job.jobId);
  if (type === 'job-completed') {
    const group = { name: 'done', several: (count: number) => `${count} documents are done` };
    const text = count(job.pagesDone, 'page');
    toast({ tone: 'good', title: `${job.filename} is done`, text, href, group });
  } else if (type === 'job-failed') {
    toast({
      tone: 'bad',
      title: `${job.filename} failed`,
      text: job.error === null ? undefined : sentenceCase(job.error.message),
      href,
    });
  }
}

/** Listens until the returned function is called. */
export function spreadNews(client: CourantClient, announce: (sentence: string) => void): () => void {
  return client.onEvent((event) => {
    // Only `mine`: the topics of single jobs tell the same again, and tell old news when they are replayed.
    if (event.topic !== 'mine' || !('job' in event)) return;
    show(event.type, event.job);
    const words = sentence(event.type, event.job);
    if (words !== null) announce(words);
  });
}
