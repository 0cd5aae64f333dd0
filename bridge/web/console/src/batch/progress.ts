import { isFinished, type Job } from '@courant/client';

/** Several jobs as one, 0 to 100. Pages count where they are known, so that a book weighs more than a letter. */
export function progressOf(jobs: readonly Job[]): number {
  const weight = (job: Job): number => Math.max(1, job.pagesTotal ?? 1);
  const total = jobs.reduce((sum, job) => sum + weight(job), 0);
  const done = jobs.reduce((sum, job) => sum + weight(job) * (isFinished(job) ? 100 : job.progress), 0);
  return total === 0 ? 0 : done / total;
}
