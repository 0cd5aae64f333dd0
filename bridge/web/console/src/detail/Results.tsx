import { isFinished, type Job, type JobView, type ResultFormat } from '@courant/client';
import { Check, Copy } from 'lucide-react';
import { type KeyboardEvent, useRef, useState } from 'react';
import { DownloadMenu } from '../jobs/Downloads.tsx';
import { formatNames } from '../ui/format.ts';
import { Pages } from '../viewer/Pages.tsx';
import { ExtractedText } from './ExtractedText.tsx';
import { type JobDocument, useResult } from './useResult.ts';

type Tab = 'pages' | 'read' | ResultFormat;

const sources: readonly ResultFormat[] = ['txt', 'md', 'json', 'html'];
/** More than this is slow to lay out; the whole is in the download. */
const mostCharacters = 1_500_000;

interface Props {
  readonly view: JobView;
  readonly document: JobDocument;
}

function tabsOf(job: Job, document: JobDocument): readonly Tab[] {
  const written =
    job.result?.formats.filter(({ state }) => state === 'completed').map(({ format }) => format) ?? [];
  const plain = sources.filter((format) => written.includes(format));
  return document.state === 'none' ? ['pages', ...plain] : ['pages', 'read', ...plain];
}

export function Results({ view, document }: Props) {
  const { job } = view;
  const tabs = tabsOf(job, document);
  const [wanted, setWanted] = useState<Tab>('pages');
  const tab = tabs.includes(wanted) ? wanted : 'pages';
  // There from the start, so that nothing below moves when the first result is written.
  const tabbed = tabs.length > 1 || !isFinished(job);
  return (
    <section className="results" aria-label="Document and result" data-testid="job-results">
      <div className="results-head">
        {tabbed && <Tabs tabs={tabs} selected={tab} select={setWanted} />}
        <DownloadMenu job={job} />
      </div>
      <div
        className="viewer"
        id="result-panel"
        {...(tabbed && { role: 'tabpanel', 'aria-labelledby': `tab-${tab}` })}
      >
        <Panel tab={tab} view={view} document={document} />
      </div>
    </section>
  );
}

function Panel({ tab, view, document }: Props & { readonly tab: Tab }) {
  const pages = document.state === 'ready' ? document.pages : null;
  if (tab === 'pages') return <Pages view={view} read={pages} />;
  if (tab !== 'read') return <SourceOf job={view.job} format={tab} />;
  return pages === null ? <p className="empty muted">Loading…</p> : <ExtractedText pages={pages} />;
}

interface TabsProps {
  readonly tabs: readonly Tab[];
  readonly selected: Tab;
  readonly select: (tab: Tab) => void;
}

/** Tabs as the ARIA practices have them: one stop for Tab, arrows between them. */
function Tabs({ tabs, selected, select }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = tabs.at((tabs.indexOf(selected) + step) % tabs.length);
    if (next === undefined) return;
    select(next);
    list.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label="Format" ref={list} onKeyDown={move}>
      {tabs.map((tab) => (
        <button
          key={tab}
          type="button"
          role="tab"
          id={`tab-${tab}`}
          aria-selected={tab === selected}
          aria-controls="result-panel"
          tabIndex={tab === selected ? 0 : -1}
          onClick={() => select(tab)}
          data-testid={`tab-${tab}`}
        >
          {tabName(tab)}
        </button>
      ))}
    </div>
  );
}

function tabName(tab: Tab): string {
  if (tab === 'pages') return 'Pages';
  return tab === 'read' ? 'Read' : formatNames[tab];
}

function pretty(text: string, format: ResultFormat): string {
  if (format !== 'json' || text.length > mostCharacters) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function SourceOf({ job, format }: { readonly job: Job; readonly format: ResultFormat }) {
  const result = useResult(job, format);
  switch (result.state) {
    case 'loading':
      return <p className="empty muted">Loading…</p>;
    case 'failed':
      return (
        <p className="empty bad" role="alert">
          {result.message}
        </p>
      );
    case 'ready':
      return <Source text={pretty(result.text, format)} format={format} />;
  }
}

function Source({ text, format }: { readonly text: string; readonly format: ResultFormat }) {
  const cut = text.length > mostCharacters;
  return (
    <>
      <CopyButton text={text} />
      <pre className="source" tabIndex={0} data-format={format} data-testid="job-text" dir="auto">
        {text.trim() === '' ? 'No text was found.' : cut ? text.slice(0, mostCharacters) : text}
      </pre>
      {cut && <p className="muted small">Only the beginning is shown; the download has all of it.</p>}
    </>
  );
}

function CopyButton({ text }: { readonly text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    // Missing without a secure context; the text can still be selected by hand.
    void navigator.clipboard?.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    });
  };
  if (!('clipboard' in navigator)) return null;
  return (
    <button type="button" className="button small copy" onClick={copy} data-testid="copy-text">
      {copied ? <Check aria-hidden="true" /> : <Copy aria-hidden="true" />}
      {copied ? 'Copied' : 'Copy'}
    </button>
  );
}
