import { type Export, isFinished, type Job, type ResultFormat } from '@courant/client';
import { Check, Copy } from 'lucide-react';
import { type KeyboardEvent, useRef, useState } from 'react';
import { formatNames } from '../ui/format.ts';
import { useResult } from './useResult.ts';

const shown: readonly ResultFormat[] = ['txt', 'md', 'json', 'html'];
/** More than this is slow to lay out; the whole is in the download. */
const mostCharacters = 1_500_000;

function ready(job: Job): readonly ResultFormat[] {
  const written = (format: ResultFormat) => (each: Export) =>
    each.format === format && each.state === 'completed';
  return shown.filter((format) => job.result?.formats.some(written(format)));
}

export function Results({ job }: { readonly job: Job }) {
  const formats = ready(job);
  const [wanted, setWanted] = useState<ResultFormat>('txt');
  const format = formats.includes(wanted) ? wanted : formats[0];
  return (
    <section className="panel results" aria-labelledby="results-title" data-testid="job-results">
      <div className="panel-head">
        <h2 id="results-title">Result</h2>
        {format !== undefined && <Tabs formats={formats} selected={format} select={setWanted} />}
      </div>
      {format === undefined ? <NoResult job={job} /> : <Viewer job={job} format={format} />}
    </section>
  );
}

function NoResult({ job }: { readonly job: Job }) {
  const words = isFinished(job)
    ? 'There is no text: the job ended before it was written.'
    : 'The text appears here as soon as it is written.';
  return <p className="empty muted">{words}</p>;
}

interface TabsProps {
  readonly formats: readonly ResultFormat[];
  readonly selected: ResultFormat;
  readonly select: (format: ResultFormat) => void;
}

/** Tabs as the ARIA practices have them: one stop for Tab, arrows between them. */
function Tabs({ formats, selected, select }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = formats.at((formats.indexOf(selected) + step) % formats.length);
    if (next === undefined) return;
    select(next);
    list.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label="Format" ref={list} onKeyDown={move}>
      {formats.map((format) => (
        <button
          key={format}
          type="button"
          role="tab"
          id={`tab-${format}`}
          aria-selected={format === selected}
          aria-controls="result-panel"
          tabIndex={format === selected ? 0 : -1}
          onClick={() => select(format)}
          data-testid={`tab-${format}`}
        >
          {formatNames[format]}
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

function Viewer({ job, format }: { readonly job: Job; readonly format: ResultFormat }) {
  const result = useResult(job, format);
  return (
    <div role="tabpanel" id="result-panel" aria-labelledby={`tab-${format}`} className="viewer">
      {result.state === 'loading' && <p className="empty muted">Loading…</p>}
      {result.state === 'failed' && (
        <p className="empty bad" role="alert">
          {result.message}
        </p>
      )}
      {result.state === 'ready' && <Source text={pretty(result.text, format)} format={format} />}
    </div>
  );
}

function Source({ text, format }: { readonly text: string; readonly format: ResultFormat }) {
  const cut = text.length > mostCharacters;
  return (
    <>
      <CopyButton text={text} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard. */}
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
