import { isFinished, type JobView } from '@courant/client';
import { formatPagesDone } from '../ui/format.ts';

const mostCells = 96;

/** Whether only some pages of the document are to be done: which ones is not known here. */
function isSelection({ pagesTotal, documentPages }: JobView['job']): boolean {
  return pagesTotal !== null && documentPages !== null && pagesTotal < documentPages;
}

/** Which pages are done. Of those done before this page was open only the number is known: they are taken to be the first. */
export function donePages({ job, pages }: JobView): readonly boolean[] {
  const total = job.pagesTotal ?? 0;
  if (isSelection(job)) return Array.from({ length: total }, (_, index) => index < job.pagesDone);
  const done = Array.from({ length: total }, (_, index) => pages[index] !== undefined);
  let missing = job.pagesDone - done.filter(Boolean).length;
  for (let index = 0; index < total && missing > 0; index += 1) {
    if (done[index]) continue;
    done[index] = true;
    missing -= 1;
  }
  return done;
}

export interface Cell {
  readonly first: number;
  readonly last: number;
  /** 0 to 1. */
  readonly filled: number;
}

/** Cells of one page each, or of several where there are too many to draw. */
export function cells(done: readonly boolean[]): readonly Cell[] {
  const perCell = Math.max(1, Math.ceil(done.length / mostCells));
  return Array.from({ length: Math.ceil(done.length / perCell) }, (_, index) => {
    const pages = done.slice(index * perCell, (index + 1) * perCell);
    const first = index * perCell + 1;
    return { first, last: first + pages.length - 1, filled: pages.filter(Boolean).length / pages.length };
  });
}

function title({ first, last, filled }: Cell): string {
  const name = first === last ? `Page ${first}` : `Pages ${first} to ${last}`;
  return filled === 1 ? `${name}: done` : name;
}

/** As tall as the strip that replaces it once the pages are counted, so that nothing moves then. */
export function PageStripPlaceholder() {
  return (
    <div className="pages">
      <div className="strip-ahead" aria-hidden="true" />
      <span className="pages-words">not counted yet</span>
    </div>
  );
}

/** The document as a strip of small sheets that fill as pages finish. */
export function PageStrip({ view }: { readonly view: JobView }) {
  const { job } = view;
  const strip = cells(donePages(view));
  const numbered = !isSelection(job);
  const at = isFinished(job) || !numbered ? -1 : (job.currentZone?.page ?? -1);
  return (
    <div
      className="pages"
      data-testid="job-pages"
      data-done={job.pagesDone}
      data-total={job.pagesTotal ?? 0}
      data-density={strip.length > 48 ? 'high' : strip.length > 20 ? 'middle' : 'low'}
    >
      <div className="strip" aria-hidden="true">
        {strip.map((cell) => (
          <span
            key={cell.first}
            className="sheet"
            title={numbered ? title(cell) : undefined}
            data-now={cell.first <= at && at <= cell.last}
          >
            <span className="sheet-fill" style={{ transform: `scaleY(${cell.filled})` }} />
          </span>
        ))}
      </div>
      <span className="pages-words">{formatPagesDone(job)}</span>
    </div>
  );
}
