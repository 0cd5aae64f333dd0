import type { Zone } from '@courant/client';
import { useEffect, useRef, useState } from 'react';
import { Part } from '../detail/Reader.tsx';
import { zoneNames } from '../ui/format.ts';
import { type Leaf, wordsIn } from './pages.ts';
import { type Glyphs, type PDFPageProxy, textOf } from './pdf.ts';

interface Props {
  readonly leaf: Leaf;
  readonly pdfPage: PDFPageProxy | null;
  readonly active: string | null;
  readonly activate: (zoneId: string | null) => void;
}

function useGlyphs(page: PDFPageProxy | null, wanted: boolean): readonly Glyphs[] {
  const [glyphs, setGlyphs] = useState<readonly Glyphs[]>([]);
  useEffect(() => {
    if (page === null || !wanted) return;
    let gone = false;
    textOf(page).then(
      (found) => {
        if (!gone) setGlyphs(found);
      },
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, [page, wanted]);
  return glyphs;
}

/** What a page says: the result once it is written, before that each zone with the words of the document's text layer. */
export function PageText({ leaf, pdfPage, active, activate }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const { blocks, page } = leaf;
  const glyphs = useGlyphs(pdfPage, blocks === null && page !== null);
  useEffect(() => {
    if (active === null) return;
    const part = box.current?.querySelector<HTMLElement>(`[data-part="${CSS.escape(active)}"]`);
    if (part && box.current) box.current.scrollTop = part.offsetTop - box.current.clientHeight / 3;
  }, [active]);

  if (page === null) {
    return (
      <div className="page-text" data-state={leaf.current ? 'now' : 'ahead'}>
        <p className="muted small">{leaf.current ? 'Being read…' : 'Not read yet'}</p>
      </div>
    );
  }
  const kinds = new Map(page.zones.map((zone) => [zone.zoneId, zone.kind]));
  return (
    <section
      className="page-text"
      ref={box}
      data-state={blocks ? 'written' : 'found'}
      aria-label={`Text of page ${leaf.number}`}
      tabIndex={0}
    >
      {page.warnings.map((warning) => (
        <p key={warning} className="note warn">
          {warning}
        </p>
      ))}
      {page.zones.length === 0 && <p className="muted">Nothing was found on this page.</p>}
      {blocks !== null
        ? blocks.map((block) => (
            <Piece
              key={block.id}
              id={block.id}
              kind={kinds.get(block.id) ?? block.kind}
              active={active}
              activate={activate}
            >
              <Part block={block} />
            </Piece>
          ))
        : page.zones.map((zone) => (
            <Piece key={zone.zoneId} id={zone.zoneId} kind={zone.kind} active={active} activate={activate}>
              <Preview zone={zone} words={wordsIn(zone, glyphs)} />
            </Piece>
          ))}
    </section>
  );
}

interface PieceProps extends Pick<Props, 'active' | 'activate'> {
  readonly id: string;
  readonly kind: Zone['kind'];
  readonly children: React.ReactNode;
}

function Piece({ id, kind, active, activate, children }: PieceProps) {
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: shows a mouse where the words come from; nothing can be done here.
    <div
      className="piece"
      data-part={id}
      data-kind={kind}
      data-active={id === active}
      onMouseEnter={() => activate(id)}
      onMouseLeave={() => activate(null)}
    >
      {children}
    </div>
  );
}

function Preview({ zone, words }: { readonly zone: Zone; readonly words: string }) {
  if (words === '')
    return <p className="muted small">{zoneNames[zone.kind][0]}: its text comes with the result</p>;
  return zone.kind === 'heading' ? <h4 dir="auto">{words}</h4> : <p dir="auto">{words}</p>;
}
