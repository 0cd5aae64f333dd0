import { isFinished, type Job, type ResultFormat } from '@courant/client';
import { hasPages } from '../jobs/job-pages.ts';
import type { JobDocument } from './useResult.ts';

export type Tab = 'pages' | 'read' | 'outputs' | ResultFormat;

const sources: readonly ResultFormat[] = ['txt', 'md', 'json', 'html'];

export function tabsOf(job: Job, document: JobDocument): readonly Tab[] {
  const written =
    job.result?.formats.filter(({ state }) => state === 'completed').map(({ format }) => format) ?? [];
  const plain = sources.filter((format) => written.includes(format));
  const hasOutputs = job.outputs.length > 0;
  // Then what it made comes first.
  if (!hasPages(job)) {
    const isEmpty = plain.length === 0 || !isFinished(job);
    return hasOutputs || isEmpty ? ['outputs', ...plain] : plain;
  }
  const read: readonly Tab[] = document.state === 'none' ? ['pages'] : ['pages', 'read'];
  return hasOutputs ? [...read, ...plain, 'outputs'] : [...read, ...plain];
}
