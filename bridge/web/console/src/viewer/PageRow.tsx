import { formatCount } from '@courant/react/format';
import { memo, useRef, useState } from 'react';
import { PageImage, usePdfPage } from './PageImage.tsx';
import { PageText } from './PageText.tsx';
import type { PageItem } from './page-items.ts';
import type { PDFDocumentProxy } from './pdf.ts';
import { useEarlyText } from './useEarlyText.ts';
import { useNearViewport } from './useNearViewport.ts';
import { formatMilliseconds } from './ZoneLayer.tsx';

interface Props {
  readonly jobId: string;
  readonly item: PageItem;
  readonly pdf: PDFDocumentProxy | null;
  readonly zonesShown: boolean;
}

function caption({ page, current }: PageItem): string {
  if (page === null) return current ? 'processing' : '';
  return `${formatCount(page.zones.length, 'zone')} · ${formatMilliseconds(page.durationMs)}`;
}

/** A page and what it says, side by side. */
export const PageRow = memo(function PageRow({ jobId, item, pdf, zonesShown }: Props) {
  const row = useRef<HTMLElement>(null);
  const near = useNearViewport(row);
  const [active, activate] = useState<string | null>(null);
  // Pages that were there already when one came do not light up.
  const [readBefore] = useState(item.page !== null);
  const pdfPage = usePdfPage(pdf, item.number, near);
  const early = useEarlyText(jobId, item.number, near && item.page !== null && item.blocks === null);
  const blocks = item.blocks ?? early;
  return (
    <section
      className="page-row"
      ref={row}
      id={`page-${item.number}`}
      aria-label={`Page ${item.number}`}
      data-testid="page-row"
      data-page={item.number}
    >
      <p className="page-row-head">
        <span className="page-row-number">{item.number}</span>
        <span className="muted">{caption(item)}</span>
      </p>
      <PageImage
        item={item}
        pdfPage={pdfPage}
        near={near}
        isNew={!readBefore}
        zonesShown={zonesShown}
        active={active}
        activate={activate}
      />
      {near ? (
        <PageText item={item} blocks={blocks} active={active} activate={activate} />
      ) : (
        <div className="page-text" />
      )}
    </section>
  );
});
