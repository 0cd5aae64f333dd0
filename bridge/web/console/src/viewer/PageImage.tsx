import { useEffect, useRef, useState } from 'react';
import type { PageItem } from './page-items.ts';
import { drawPage, type PDFDocumentProxy, type PDFPageProxy } from './pdf.ts';
import { ZoneLayer } from './ZoneLayer.tsx';

/** A page of the document once it is needed. */
export function usePdfPage(
  pdf: PDFDocumentProxy | null,
  number: number,
  wanted: boolean,
): PDFPageProxy | null {
  const [page, setPage] = useState<PDFPageProxy | null>(null);
  useEffect(() => {
    if (pdf === null || !wanted || number > pdf.numPages) return;
    let gone = false;
    pdf.getPage(number).then(
      (found) => {
        if (!gone) setPage(found);
      },
      () => undefined,
    );
    return () => {
      gone = true;
      setPage(null);
    };
  }, [pdf, number, wanted]);
  return page;
}

interface Props {
  readonly item: PageItem;
  readonly pdfPage: PDFPageProxy | null;
  readonly near: boolean;
  readonly isNew: boolean;
  readonly zonesShown: boolean;
  readonly active: string | null;
  readonly activate: (zoneId: string | null) => void;
}

/** The picture of a page with what was found on it. Has its size before anything is drawn. */
export function PageImage({ item, pdfPage, near, isNew, zonesShown, active, activate }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const to = canvas.current;
    if (pdfPage === null || to === null) return;
    return drawPage(pdfPage, to, to.clientWidth);
  }, [pdfPage]);
  const { width, height, page, current } = item;
  const status = page !== null ? 'read' : current !== null ? 'now' : 'ahead';
  return (
    <div
      className="page-image"
      data-status={status}
      data-testid="page-image"
      data-page={item.number}
      style={{ aspectRatio: `${width} / ${height}` }}
    >
      {pdfPage !== null && <canvas ref={canvas} />}
      {near && zonesShown && (
        <ZoneLayer
          zones={page?.zones ?? []}
          current={current}
          width={width}
          height={height}
          isNew={isNew}
          active={active}
          activate={activate}
        />
      )}
    </div>
  );
}
