import { formatCount } from '@courant/react/format';
import { memo, useRef, useState } from 'react';
import { PageText } from './PageText.tsx';
import type { PageItem } from './pages.ts';
import type { PDFDocumentProxy } from './pdf.ts';
import { Sheet, usePdfPage } from './Sheet.tsx';
import { useEarlyText } from './useEarlyText.ts';
import { useNear } from './useNear.ts';
import { time } from './ZoneLayer.tsx';

interface Props {
  readonly jobId: string;
  readonly leaf: PageItem;
  readonly pdf: PDFDocumentProxy | null;
  readonly zonesShown: boolean;
}

function caption({ page, current }: PageItem): string {
  if (page === null) return current ? 'processing' : '';
  return `${formatCount(page.zones.length, 'zone')} · ${time(page.durationMs)}`;
}

/** A page and what it says, side by side. */
export const PageRow = memo(function PageRow({ jobId, leaf, pdf, zonesShown }: Props) {
  const row = useRef<HTMLElement>(null);
  const near = useNear(row);
  const [active, activate] = useState<string | null>(null);
  // Pages that were there already when one came do not light up.
  const [readBefore] = useState(leaf.page !== null);
  const pdfPage = usePdfPage(pdf, leaf.number, near);
  const early = useEarlyText(jobId, leaf.number, near && leaf.page !== null && leaf.blocks === null);
  const blocks = leaf.blocks ?? early;
  return (
    <section
      className="leaf"
      ref={row}
      id={`page-${leaf.number}`}
      aria-label={`Page ${leaf.number}`}
      data-testid="leaf"
      data-page={leaf.number}
    >
      <p className="leaf-head">
        <span className="leaf-number">{leaf.number}</span>
        <span className="muted">{caption(leaf)}</span>
      </p>
      <Sheet
        leaf={leaf}
        pdfPage={pdfPage}
        near={near}
        fresh={!readBefore}
        zonesShown={zonesShown}
        active={active}
        activate={activate}
      />
      {near ? (
        <PageText leaf={leaf} blocks={blocks} active={active} activate={activate} />
      ) : (
        <div className="page-text" />
      )}
    </section>
  );
});
