import { isFinished, type Job } from '@courant/client';

/**
 * Several documents as one, 0 to 100, with those whose files are not submitted yet. Pages count where they are known, so that
 * a book weighs more than a letter.
 */
export function progressOf(jobs: readonly Job[], notSubmitted = 0): number {
  const weight = (job: Job): number => Math.max(1, job.pagesTotal ?? 1);
  const total = jobs.reduce((sum, job) => sum + weight(job), notSubmitted);
  const done = jobs.reduce((sum, job) => sum + weight(job) * (isFinished(job) ? 100 : job.progress), 0);
  return total === 0 ? 0 : done / total;
}
