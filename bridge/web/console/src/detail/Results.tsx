import { isFinished, type Job, type JobView, type ResultFormat } from '@courant/client';
import { type KeyboardEvent, useRef, useState } from 'react';
import { DownloadMenu } from '../jobs/Downloads.tsx';
import { Outputs } from '../outputs/Outputs.tsx';
import { CopyButton } from '../ui/CopyButton.tsx';
import { formatNames } from '../ui/format.ts';
import { indentJson } from '../ui/json.ts';
import { Pages } from '../viewer/Pages.tsx';
import { ExtractedText } from './ExtractedText.tsx';
import { type Tab, tabsOf } from './result-tabs.ts';
import { type JobDocument, useResult } from './useResult.ts';

/** More than this is slow to lay out; the whole is in the download. */
const mostCharacters = 1_500_000;

interface Props {
  readonly view: JobView;
  readonly document: JobDocument;
}

export function Results({ view, document }: Props) {
  const { job } = view;
  const tabs = tabsOf(job, document);
  const [wanted, setWanted] = useState<Tab | null>(null);
  const tab = tabs.find((each) => each === wanted) ?? tabs[0] ?? 'pages';
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
  if (tab === 'outputs') return <Outputs job={view.job} />;
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
  if (tab === 'outputs') return 'Outputs';
  return tab === 'read' ? 'Read' : formatNames[tab];
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
      return <Source text={format === 'json' ? indentJson(result.text) : result.text} format={format} />;
  }
}

function Source({ text, format }: { readonly text: string; readonly format: ResultFormat }) {
  const cut = text.length > mostCharacters;
  return (
    <>
      <CopyButton text={text} testId="copy-text" />
      <pre className="source" tabIndex={0} data-format={format} data-testid="job-text" dir="auto">
        {text.trim() === '' ? 'No text was found.' : cut ? text.slice(0, mostCharacters) : text}
      </pre>
      {cut && <p className="muted small">Only the beginning is shown; the download has all of it.</p>}
    </>
  );
}
