import { isFinished, type JobView } from '@courant/client';
import { recoveryOf } from '@courant/react';
import { ArrowDownToLine, Eye, EyeOff, FileStack } from 'lucide-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { DocumentPage } from '../detail/document.ts';
import { Legend } from '../jobs/ZoneCounts.tsx';
import { PageRow } from './PageRow.tsx';
import { countZones, type PageItem, pageItems } from './page-items.ts';
import { UnlockForm } from './UnlockForm.tsx';
import { usePdf } from './usePdf.ts';

const atATime = 40;

/** The newest finished page comes into view while one follows the reading. */
function useFollow(list: readonly PageItem[], following: boolean): void {
  const before = useRef<ReadonlySet<number>>(new Set());
  useEffect(() => {
    const done = new Set(list.filter(({ page }) => page !== null).map(({ number }) => number));
    const newest = [...done].filter((number) => !before.current.has(number)).at(-1);
    before.current = done;
    if (!following || newest === undefined) return;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    document
      .getElementById(`page-${newest}`)
      ?.scrollIntoView({ behavior: calm ? 'auto' : 'smooth', block: 'center' });
  }, [list, following]);
}

interface Props {
  readonly view: JobView;
  readonly read: readonly DocumentPage[] | null;
}

/** The document, page by page: on the left as it looks, on the right what it says. */
export function Pages({ view, read }: Props) {
  const { job } = view;
  const pdfState = usePdf(job);
  const pdf = pdfState.state === 'open' ? pdfState.pdf : null;
  const [zonesShown, setZonesShown] = useState(true);
  const [following, setFollowing] = useState(false);
  const [limit, setLimit] = useState(atATime);
  const list = useMemo(() => pageItems(view, read, pdf?.numPages ?? 0), [view, read, pdf]);
  const counts = useMemo(() => countZones(list), [list]);
  const running = !isFinished(job);
  // Who saw it run keeps the button to the end: nothing moves when it is over.
  const [live] = useState(running);
  useFollow(list, following && running);
  const end = useMore(list.length > limit, () => setLimit(limit + atATime));
  const Icon = zonesShown ? Eye : EyeOff;

  return (
    <div className="pages-view" data-testid="pages-view" data-document={pdfState.state}>
      {list.length > 0 && (
        <div className="pages-bar">
          <Legend counts={counts} />
          <div className="pages-tools">
            {live && (
              <button
                type="button"
                className="button small"
                aria-pressed={following && running}
                disabled={!running}
                onClick={() => setFollowing(!following)}
                data-testid="follow"
              >
                <ArrowDownToLine aria-hidden="true" />
                Follow
              </button>
            )}
            <button
              type="button"
              className="button small"
              aria-pressed={zonesShown}
              onClick={() => setZonesShown(!zonesShown)}
              data-testid="toggle-zones"
            >
              <Icon aria-hidden="true" />
              Zones
            </button>
            <GoTo total={list.length} reach={(page) => setLimit(Math.max(limit, page + 2))} />
          </div>
        </div>
      )}
      {pdfState.state === 'unreadable' && list.length > 0 && (
        <p className="note plain" data-testid="document-unreadable">
          The document cannot be drawn here; what was found in it is shown on blank pages.
        </p>
      )}
      {pdfState.state === 'locked' && recoveryOf(job) !== 'password' && <UnlockForm {...pdfState} />}
      {list.length === 0 && (
        <div className="panel empty-panel" data-ahead={running}>
          <FileStack aria-hidden="true" />
          <p className="muted">
            {running ? 'Pages appear here as soon as their number is known.' : 'No pages processed.'}
          </p>
        </div>
      )}
      {list.slice(0, limit).map((item) => (
        <Row key={item.number} jobId={job.jobId} item={item} pdf={pdf} zonesShown={zonesShown} />
      ))}
      {list.length > limit && <div ref={end} className="reader-end" />}
    </div>
  );
}

/** Keeps what it gave for a page whose facts have not changed, so that only changed pages are rendered again. */
function Row({ item, ...rest }: Parameters<typeof PageRow>[0]) {
  const { number, width, height, page, blocks, current } = item;
  const kept = useMemo(
    () => ({ number, width, height, page, blocks, current }),
    [number, width, height, page, blocks, current],
  );
  return <PageRow item={kept} {...rest} />;
}

function useMore(more: boolean, load: () => void) {
  const end = useRef<HTMLDivElement>(null);
  const then = useRef(load);
  useEffect(() => {
    then.current = load;
  });
  useEffect(() => {
    if (!more || end.current === null) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) then.current();
      },
      { rootMargin: '2000px' },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  });
  return end;
}

function GoTo({ total, reach }: { readonly total: number; readonly reach: (page: number) => void }) {
  if (total < 2) return null;
  return (
    <form
      className="goto"
      onSubmit={(event) => {
        event.preventDefault();
        const page = Number(new FormData(event.currentTarget).get('page'));
        if (!(page >= 1 && page <= total)) return;
        reach(page);
        requestAnimationFrame(() =>
          document.getElementById(`page-${page}`)?.scrollIntoView({ block: 'start' }),
        );
      }}
    >
      <label>
        Page
        <input
          name="page"
          type="number"
          min={1}
          max={total}
          defaultValue={1}
          inputMode="numeric"
          data-testid="goto-page"
        />
      </label>
      <span className="muted">of {total.toLocaleString('en')}</span>
    </form>
  );
}
