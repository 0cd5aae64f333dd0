import { memo, useEffect, useRef, useState } from 'react';
import { zoneNames } from '../ui/format.ts';
import type { Block, DocumentPage, Item } from './document.ts';

const pagesAtATime = 12;

interface Props {
  readonly pages: readonly DocumentPage[];
}

/** The extracted text as one reads it: headings, paragraphs, lists and tables, page by page. */
export function ExtractedText({ pages }: Props) {
  const [limit, setLimit] = useState(pagesAtATime);
  const region = useRef<HTMLDivElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const shown = pages.slice(0, limit);
  const more = shown.length < pages.length;

  useEffect(() => {
    if (!more || end.current === null) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) setLimit(shown.length + pagesAtATime);
      },
      { root: region.current, rootMargin: '600px' },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [more, shown.length]);

  return (
    <div
      className="reader"
      ref={region}
      tabIndex={0}
      role="document"
      aria-label="Extracted text"
      data-testid="job-text"
    >
      {shown.map((page) => (
        <Sheet key={page.view.number} page={page} />
      ))}
      {more && <div ref={end} className="reader-end" />}
    </div>
  );
}

const Sheet = memo(function Sheet({ page: { view, blocks } }: { readonly page: DocumentPage }) {
  const body = blocks.filter(({ kind }) => kind !== 'header' && kind !== 'footer');
  return (
    <section className="reader-page" data-page={view.number} aria-label={`Page ${view.number}`}>
      <p className="reader-number" aria-hidden="true">
        {view.number}
      </p>
      {view.warnings.map((warning) => (
        <p key={warning} className="note warn">
          {warning}
        </p>
      ))}
      {body.length === 0 && <p className="muted">Nothing was found on this page.</p>}
      {body.map((block) => (
        <BlockView key={block.id} block={block} />
      ))}
    </section>
  );
});

/** One block of the result as HTML. */
export function BlockView({ block }: { readonly block: Block }) {
  switch (block.kind) {
    case 'heading':
      return <Heading level={block.level} text={block.text} />;
    case 'list':
      return <List items={block.items} />;
    case 'table':
      return <Table block={block} />;
    case 'figure':
      return <p className="reader-figure">[{zoneNames.figure[0]}]</p>;
    case 'scan':
      return block.text === '' ? (
        <p className="reader-figure">{block.note || 'A scanned region without text.'}</p>
      ) : (
        <Paragraph block={block} />
      );
    case 'paragraph':
    case 'header':
    case 'footer':
    case 'unknown':
      return <Paragraph block={block} />;
  }
}

function Paragraph({ block: { preformatted, text } }: { readonly block: Block }) {
  return preformatted ? <pre dir="auto">{text}</pre> : <p dir="auto">{text}</p>;
}

/** Below the headings of the console itself. */
function Heading({ level, text }: { readonly level: number; readonly text: string }) {
  if (level <= 1) return <h3 dir="auto">{text}</h3>;
  if (level === 2) return <h4 dir="auto">{text}</h4>;
  return level === 3 ? <h5 dir="auto">{text}</h5> : <h6 dir="auto">{text}</h6>;
}

function List({ items }: { readonly items: readonly Item[] }) {
  const numbered = items.length > 0 && items.every(({ number }) => number !== null);
  const entries = items.map(({ number, text }, index) => (
    <li key={index} value={numbered ? (number ?? undefined) : undefined} dir="auto">
      {text}
    </li>
  ));
  return numbered ? <ol>{entries}</ol> : <ul>{entries}</ul>;
}

function Table({ block: { rows } }: { readonly block: Block }) {
  return (
    <div className="reader-table" tabIndex={0}>
      <table>
        <tbody>
          {rows.map((row, at) => (
            <tr key={at}>
              {row.map(({ text, colspan, rowspan }, index) => (
                <td key={index} colSpan={colspan} rowSpan={rowspan} dir="auto">
                  {text}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
