import type { JobView, PageView, Zone } from '@courant/client';
import { useState } from 'react';
import { count, span, toolName, zoneNames } from '../ui/format.ts';
import type { DocumentPage } from './document.ts';

const atFirst = 24;

interface Props {
  readonly view: JobView;
  /** The pages of the result, for those this page has not seen being read. */
  readonly read: readonly DocumentPage[] | null;
  readonly selected: number | null;
  readonly select: (page: number | null) => void;
}

function allPages({ job, pages }: JobView, read: readonly DocumentPage[] | null): readonly PageView[] {
  const live = pages.filter((page) => page !== undefined);
  return read !== null && live.length < job.pagesDone ? read.map((page) => page.view) : live;
}

/** The pages as they were found: each zone where it is, coloured by what it is. */
export function PagesMap({ view, read, selected, select }: Props) {
  const pages = allPages(view, read);
  const [limit, setLimit] = useState(atFirst);
  const page = pages.find(({ number }) => number === selected);
  const words =
    view.job.pagesDone > 0
      ? 'These pages were read before you came; they show here with the result.'
      : 'Pages appear here the moment they are read.';
  return (
    <section className="panel" aria-labelledby="pages-title" data-testid="pages-map">
      <div className="panel-head">
        <h2 id="pages-title">Pages</h2>
        {pages.length > 0 && <span className="muted small">Choose one to see what is on it</span>}
      </div>
      {pages.length === 0 && <p className="empty muted">{words}</p>}
      <ul className="thumbs">
        {pages.slice(0, limit).map((each) => (
          <li key={each.number}>
            <button
              type="button"
              className="thumb"
              aria-pressed={each.number === selected}
              onClick={() => select(each.number === selected ? null : each.number)}
              aria-label={`Page ${each.number}, ${count(each.zones.length, 'zone')}`}
              data-testid="page-thumb"
              data-page={each.number}
            >
              <Sheet page={each} />
              <span className="thumb-number">{each.number}</span>
            </button>
          </li>
        ))}
      </ul>
      {pages.length > limit && (
        <button type="button" className="button wide" onClick={() => setLimit(limit + 96)}>
          Show more pages ({pages.length - limit} left)
        </button>
      )}
      {page && <ZoneList page={page} />}
    </section>
  );
}

function Sheet({ page: { width, height, zones } }: { readonly page: PageView }) {
  const w = width > 0 ? width : 595;
  const h = height > 0 ? height : 842;
  return (
    <svg viewBox={`0 0 ${w} ${h}`} aria-hidden="true" className="thumb-sheet">
      {zones.map(({ zoneId, boundingBox: box, kind }) =>
        box === null ? null : (
          <rect
            key={zoneId}
            className="zone-box"
            data-kind={kind}
            x={box.x0}
            y={box.y0}
            width={Math.max(2, box.x1 - box.x0)}
            height={Math.max(2, box.y1 - box.y0)}
            rx="4"
          />
        ),
      )}
    </svg>
  );
}

function ZoneList({ page }: { readonly page: PageView }) {
  return (
    <div className="zone-list" data-testid="zone-list">
      <h3>
        Page {page.number} <span className="muted">{`read in ${span(page.durationMs / 1000)}`}</span>
      </h3>
      {page.warnings.map((warning) => (
        <p key={warning} className="note warn">
          {warning}
        </p>
      ))}
      {page.zones.length === 0 && <p className="muted">Nothing was found on this page.</p>}
      <ol>
        {page.zones.map((zone) => (
          <ZoneItem key={zone.zoneId} zone={zone} />
        ))}
      </ol>
    </div>
  );
}

function ZoneItem({ zone }: { readonly zone: Zone }) {
  const { kind, status, confidence, tool, note, durationMs } = zone;
  return (
    <li className="zone-item" data-kind={kind}>
      <span className="zone-dot" aria-hidden="true" />
      <span className="zone-name">{zoneNames[kind][0]}</span>
      <span className="muted small">
        {status === 'completed' ? `${Math.round(confidence * 100)} % sure` : status} · {toolName(tool)} ·{' '}
        {durationMs < 10 ? durationMs.toFixed(1) : Math.round(durationMs)} ms
        {note && ` · ${note}`}
      </span>
    </li>
  );
}
