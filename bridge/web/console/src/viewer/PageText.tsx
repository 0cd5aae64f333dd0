import type { Zone } from '@courant/client';
import { useEffect, useRef } from 'react';
import type { Block } from '../detail/document.ts';
import { BlockView } from '../detail/ExtractedText.tsx';
import { zoneNames } from '../ui/format.ts';
import type { PageItem } from './page-items.ts';

interface Props {
  readonly item: PageItem;
  /** What it says; `null` until it was read. */
  readonly blocks: readonly Block[] | null;
  readonly active: string | null;
  readonly activate: (zoneId: string | null) => void;
}

/** What a page says, piece by piece; before that was read, what there is on it. */
export function PageText({ item, blocks, active, activate }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const { page } = item;
  useEffect(() => {
    if (active === null) return;
    const part = box.current?.querySelector<HTMLElement>(`[data-part="${CSS.escape(active)}"]`);
    if (part && box.current) box.current.scrollTop = part.offsetTop - box.current.clientHeight / 3;
  }, [active]);

  if (page === null) {
    return (
      <div className="page-text" data-state={item.current ? 'now' : 'ahead'}>
        <p className="muted small">{item.current ? 'Processing…' : 'Not processed yet'}</p>
      </div>
    );
  }
  const kinds = new Map(page.zones.map((zone) => [zone.zoneId, zone.kind]));
  return (
    <section
      className="page-text"
      ref={box}
      data-state={blocks ? 'read' : 'found'}
      aria-label={`Text of page ${item.number}`}
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
              <BlockView block={block} />
            </Piece>
          ))
        : page.zones.map((zone) => (
            <Piece key={zone.zoneId} id={zone.zoneId} kind={zone.kind} active={active} activate={activate}>
              <p className="muted small">{zoneNames[zone.kind][0]}</p>
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
