import { isFinished, type Job, type ResultFormat } from '@courant/client';
import { Check, Copy } from 'lucide-react';
import { type KeyboardEvent, useRef, useState } from 'react';
import { formatNames } from '../ui/format.ts';
import { Reader } from './Reader.tsx';
import { type JobDocument, useResult } from './useResult.ts';

type Tab = 'read' | ResultFormat;

const sources: readonly ResultFormat[] = ['txt', 'md', 'json', 'html'];
/** More than this is slow to lay out; the whole is in the download. */
const mostCharacters = 1_500_000;

interface Props {
  readonly job: Job;
  readonly document: JobDocument;
  readonly goTo: { readonly page: number } | null;
}

function tabsOf(job: Job, document: JobDocument): readonly Tab[] {
  const written =
    job.result?.formats.filter(({ state }) => state === 'completed').map(({ format }) => format) ?? [];
  const plain = sources.filter((format) => written.includes(format));
  return document.state === 'none' ? plain : ['read', ...plain];
}

export function Results({ job, document, goTo }: Props) {
  const tabs = tabsOf(job, document);
  const [wanted, setWanted] = useState<Tab>('read');
  const tab = tabs.includes(wanted) ? wanted : tabs[0];
  return (
    <section className="panel results" aria-labelledby="results-title" data-testid="job-results">
      <div className="panel-head">
        <h2 id="results-title">Result</h2>
        {tab !== undefined && <Tabs tabs={tabs} selected={tab} select={setWanted} />}
      </div>
      {tab === undefined ? (
        <NoResult job={job} />
      ) : (
        <div role="tabpanel" id="result-panel" aria-labelledby={`tab-${tab}`} className="viewer">
          {tab === 'read' ? <Reading document={document} goTo={goTo} /> : <SourceOf job={job} format={tab} />}
        </div>
      )}
    </section>
  );
}

function Reading({ document, goTo }: Pick<Props, 'document' | 'goTo'>) {
  if (document.state === 'ready') return <Reader pages={document.pages} goTo={goTo} />;
  return <p className="empty muted">Loading…</p>;
}

function NoResult({ job }: { readonly job: Job }) {
  const words = isFinished(job)
    ? 'There is no text: the job ended before it was written.'
    : 'The text appears here as soon as it is written.';
  return <p className="empty muted">{words}</p>;
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
          {tab === 'read' ? 'Read' : formatNames[tab]}
        </button>
      ))}
    </div>
  );
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
