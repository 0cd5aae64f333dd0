/** Turns events into toasts, desktop notifications, and into sentences for screen readers. */
import type { CourantClient, Job, JobEvent } from '@courant/client';
import { formatCount, sentenceCase } from '@courant/react/format';
import { notify } from '../notifications/desktop.ts';
import { toast } from '../ui/toasts.ts';
import { jobHref } from './route.ts';

function sentence(type: JobEvent['type'], job: Job): string | null {
  switch (type) {
    case 'job-queued':
      return `${job.filename} is queued.`;
    case 'job-started':
      return `${job.filename} is processing.`;
    case 'job-retrying':
      return `${job.filename} is tried again.`;
    case 'job-cancelling':
      return `${job.filename} is being cancelled.`;
    case 'job-completed':
      return `${job.filename} is done, ${formatCount(job.pagesDone, 'page')}.`;
    case 'job-failed':
      return `${job.filename} failed. ${job.error?.message ?? ''}`;
    case 'job-cancelled':
      return `${job.filename} was cancelled.`;
    default:
      return null;
  }
}

interface News {
  readonly tone: 'good' | 'bad';
  readonly title: string;
  readonly text: string;
}

function newsOf(type: JobEvent['type'], job: Job): News | null {
  if (type === 'job-completed') {
    return { tone: 'good', title: `${job.filename} is done`, text: formatCount(job.pagesDone, 'page') };
  }
  if (type !== 'job-failed') return null;
  const text = job.error === null ? '' : sentenceCase(job.error.message);
  return { tone: 'bad', title: `${job.filename} failed`, text };
}

const group = { name: 'done', several: (count: number) => `${count} documents are done` };

function spread(type: JobEvent['type'], job: Job): void {
  const news = newsOf(type, job);
  if (news === null) return;
  const { tone, title, text } = news;
  const href = jobHref(job.jobId);
  const id = `job-${job.jobId}-${job.revision}`;
  toast({ tone, title, text, href, group: tone === 'good' ? group : undefined });
  notify(title, text, href, id);
}

/** Listens until the returned function is called. */
export function spreadNews(client: CourantClient, announce: (sentence: string) => void): () => void {
  return client.onEvent((event) => {
    // Only `mine`: the topics of single jobs tell the same again, and tell old news when they are replayed.
    if (event.topic !== 'mine' || !('job' in event)) return;
    spread(event.type, event.job);
    const words = sentence(event.type, event.job);
    if (words !== null) announce(words);
  });
}
