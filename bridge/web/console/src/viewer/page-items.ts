/** Everything known of each page of a job, from wherever it came: the live events, the result, the document itself. */
import type { JobView, PageView, Zone, ZoneCounts } from '@courant/client';
import type { Block, DocumentPage } from '../detail/document.ts';

export interface PageItem {
  readonly number: number;
  /** In points; that of the neighbours until it is known. */
  readonly width: number;
  readonly height: number;
  /** `null`: not read yet. */
  readonly page: PageView | null;
  /** The text of the result; `null` before it is written and read. */
  readonly blocks: readonly Block[] | null;
  /** Being read at this moment. */
  readonly current: Zone | null;
}

const a4 = { width: 595, height: 842 };

function sized(page: PageView | undefined): { width: number; height: number } | null {
  return page && page.width > 0 && page.height > 0 ? { width: page.width, height: page.height } : null;
}

export function pageItems(
  { job, pages }: JobView,
  read: readonly DocumentPage[] | null,
  drawn: number,
): readonly PageItem[] {
  const written = new Map(read?.map((page) => [page.view.number, page]));
  const total = Math.max(job.documentPages ?? job.pagesTotal ?? 0, drawn, pages.length, written.size);
  let size = pages.map(sized).find((found) => found !== null) ?? sized(read?.[0]?.view) ?? a4;
  const items = Array.from({ length: total }, (_, index) => {
    const number = index + 1;
    const result = written.get(number);
    const page = pages[index] ?? result?.view ?? null;
    size = (page && sized(page)) ?? size;
    const current = job.state === 'running' && job.currentZone?.page === number ? job.currentZone : null;
    return { number, ...size, page, blocks: result?.blocks ?? null, current };
  });
  // Of a selection only the pages that are done are known to belong to it.
  const isSelection = (job.pagesTotal ?? 0) < (job.documentPages ?? 0);
  return isSelection ? items.filter(({ page, current }) => page !== null || current !== null) : items;
}

/** How many zones of each kind there are on these pages. */
export function countZones(list: readonly PageItem[]): ZoneCounts {
  const counts: Partial<Record<Zone['kind'], number>> = {};
  for (const { page } of list) {
    for (const { kind } of page?.zones ?? []) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
