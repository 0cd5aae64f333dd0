import type { Job } from '@courant/client';

/** Whether a job is work on pages. That of other kinds than `pdf` need not be. */
export const hasPages = (job: Job): boolean => job.kind === 'pdf' || (job.pagesTotal ?? job.pagesDone) > 0;
