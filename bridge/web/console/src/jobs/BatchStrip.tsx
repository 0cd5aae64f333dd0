import { isFinished, type JobView } from '@courant/client';
import { ArrowRight, Layers } from 'lucide-react';
import { progressOf } from '../batch/progress.ts';
import { batchHref } from '../shell/route.ts';
import { count } from '../ui/format.ts';

/** Documents that were submitted together, in one line each. */
export function BatchStrip({ views }: { readonly views: readonly JobView[] }) {
  const batches = new Map<string, JobView[]>();
  for (const view of views) {
    const { batchId } = view.job;
    if (batchId !== null) batches.set(batchId, [...(batches.get(batchId) ?? []), view]);
  }
  return [...batches].map(([batchId, members]) => {
    const jobs = members.map(({ job }) => job);
    const percent = Math.floor(progressOf(jobs));
    const done = jobs.filter(isFinished).length;
    return (
      <a
        key={batchId}
        href={batchHref(batchId)}
        className="batch-strip"
        data-testid="batch-strip"
        data-done={done === jobs.length}
      >
        <Layers aria-hidden="true" />
        <span className="batch-words">
          <strong>{count(jobs.length, 'document')} together</strong>
          <span className="muted small">
            {done} of {jobs.length} done
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
