import { isFinished, type Job } from '@courant/client';
import { formatCount } from '@courant/react/format';
import { ArrowRight, Layers } from 'lucide-react';
import { progressOf } from '../batch/progress.ts';
import { batchHref } from '../shell/route.ts';
import type { Card } from './card-order.ts';

interface Batch {
  readonly jobs: readonly Job[];
  /** How many of its files are still on their way. */
  readonly coming: number;
}

function batchesOf(cards: readonly Card[]): ReadonlyMap<string, Batch> {
  const batches = new Map<string, Batch>();
  for (const { upload, view } of cards) {
    const batchId = upload ? upload.batch?.id : view.job.batchId;
    if (batchId == null) continue;
    const { jobs, coming } = batches.get(batchId) ?? { jobs: [], coming: 0 };
    batches.set(batchId, upload ? { jobs, coming: coming + 1 } : { jobs: [...jobs, view.job], coming });
  }
  return batches;
}

/**
 * Documents that were submitted together, in one line each. A batch is shown with its first file, not with its first job:
 * then nothing moves when that comes.
 */
export function BatchStrip({ cards }: { readonly cards: readonly Card[] }) {
  return [...batchesOf(cards)].map(([batchId, { jobs, coming }]) => {
    const all = jobs.length + coming;
    const percent = Math.floor(progressOf(jobs, coming));
    const done = jobs.filter(isFinished).length;
    return (
      <a
        key={batchId}
        href={batchHref(batchId)}
        className="batch-strip"
        data-testid="batch-strip"
        data-done={done === all}
      >
        <Layers aria-hidden="true" />
        <span className="batch-words">
          <strong>Batch of {formatCount(all, 'document')}</strong>
          <span className="muted small">
            {done} of {all} finished
          </span>
        </span>
        <span className="bar" aria-hidden="true">
          <span className="bar-fill" style={{ transform: `scaleX(${percent / 100})` }} />
        </span>
        <span className="batch-percent">{percent} %</span>
        <ArrowRight aria-hidden="true" />
      </a>
    );
  });
}
