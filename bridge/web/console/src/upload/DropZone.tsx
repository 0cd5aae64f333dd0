import { FileUp } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { UploadOptions } from './UploadOptions.tsx';
import { useUploadOptions } from './useUploadOptions.ts';

function carriesFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes('Files') ?? false;
}

/** The whole page takes files; `over` says whether some hang over it now. */
function usePageDrop(drop: (files: FileList) => void): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    // Entering and leaving come for every element on the way: only the balance counts.
    let depth = 0;
    const handlers: Record<string, (event: DragEvent) => void> = {
      dragenter: (event) => {
        if (!carriesFiles(event)) return;
        depth += 1;
        setOver(true);
      },
      dragover: (event) => {
        if (carriesFiles(event)) event.preventDefault();
      },
      dragleave: (event) => {
        if (!carriesFiles(event)) return;
        depth = Math.max(0, depth - 1);
        if (depth === 0) setOver(false);
      },
      drop: (event) => {
        if (!carriesFiles(event)) return;
        event.preventDefault();
        depth = 0;
        setOver(false);
        if (event.dataTransfer) drop(event.dataTransfer.files);
      },
    };
    const entries = Object.entries(handlers) as [string, EventListener][];
    for (const [type, handler] of entries) addEventListener(type, handler);
    return () => {
      for (const [type, handler] of entries) removeEventListener(type, handler);
    };
  }, [drop]);
  return over;
}

/** On a phone there is nothing to drop. */
const verb = matchMedia('(hover: none)').matches ? 'Add' : 'Drop';

export function DropZone({ large }: { readonly large: boolean }) {
  const { add, options } = useUploadOptions();
  const input = useRef<HTMLInputElement>(null);
  const over = usePageDrop(add);

  return (
    <section
      className="dropzone"
      data-large={large}
      data-over={over}
      data-testid="dropzone"
      aria-label="Submit documents"
    >
      <Waves />
      <div className="dropzone-in">
        <FileUp aria-hidden="true" className="dropzone-icon" />
        <div className="dropzone-words">
          <h1>
            {over
              ? 'Drop to upload'
              : large
                ? `${verb} a PDF. Watch it being processed.`
                : verb === 'Drop'
                  ? 'Drop PDFs anywhere'
                  : 'Add PDFs'}
          </h1>
          <p className="muted">
            {large
              ? 'Every page and every table, paragraph and figure on it shows up here the moment it is found.'
              : 'Several at once are fine.'}
          </p>
        </div>
        <button
          type="button"
          className="button primary"
          onClick={() => input.current?.click()}
          data-testid="choose-files"
        >
          Choose files
        </button>
        <input
          ref={input}
          className="hidden"
          type="file"
          accept="application/pdf,.pdf"
          multiple
          tabIndex={-1}
          aria-label="Choose PDF files"
          data-testid="dropzone-input"
          onChange={(event) => {
            add(event.target.files ?? []);
            event.target.value = '';
          }}
        />
      </div>
      <UploadOptions {...options} />
    </section>
  );
}

/** The current that gives the product its name; it flows only while files hang over the page. */
function Waves() {
  return (
    <svg className="waves" viewBox="0 0 1200 160" preserveAspectRatio="none" aria-hidden="true">
      <path d="M0 96c100-44 200-44 300 0s200 44 300 0 200-44 300 0 200 44 300 0 200-44 300 0" />
      <path d="M0 116c100-36 200-36 300 0s200 36 300 0 200-36 300 0 200 36 300 0 200-36 300 0" />
      <path d="M0 136c100-28 200-28 300 0s200 28 300 0 200-28 300 0 200 28 300 0 200-28 300 0" />
    </svg>
  );
}
