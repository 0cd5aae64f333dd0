import type { Output } from '@courant/client';
import { useMemo } from 'react';
import { formatBytes } from '../ui/format.ts';
import { indentJson } from '../ui/json.ts';
import { essence, mediaTypeName, previewKind } from './media-type.ts';
import { mostRows, readTable } from './table.ts';
import { mostPreviewBytes, useOutput } from './useOutput.ts';

interface Props {
  readonly jobId: string;
  readonly output: Output;
}

/** What an output looks like. Nothing in it is ever HTML of the console. */
export function OutputPreview({ jobId, output }: Props) {
  const preview = useOutput(jobId, output);
  const label = `Preview of ${output.name}`;
  return (
    <section
      className="output-preview"
      aria-label={label}
      aria-busy={preview.state === 'loading'}
      tabIndex={0}
      data-testid="output-preview"
      data-state={preview.state}
    >
      {preview.state === 'loading' && <p className="empty muted">Loading…</p>}
      {preview.state === 'none' && (
        <p className="empty muted">
          There is no preview of this type ({mediaTypeName(output.mediaType)}). Download it to open it.
        </p>
      )}
      {preview.state === 'large' && (
        <p className="empty muted">
          Images over {formatBytes(mostPreviewBytes)} are not previewed. Download it to open it.
        </p>
      )}
      {preview.state === 'failed' && (
        <p className="empty bad" role="alert">
          {preview.message}
        </p>
      )}
      {preview.state === 'image' && <img src={preview.url} alt={output.name} />}
      {preview.state === 'text' && <TextPreview output={output} {...preview} />}
    </section>
  );
}

interface TextProps {
  readonly output: Output;
  readonly text: string;
  readonly partial: boolean;
}

function TextPreview({ output, text, partial }: TextProps) {
  const kind = previewKind(output.mediaType);
  return (
    <>
      {partial && (
        <p className="muted small">
          The first {formatBytes(mostPreviewBytes)} of {formatBytes(output.sizeBytes)} are shown; the download
          has all of it.
        </p>
      )}
      {kind === 'table' ? (
        <TablePreview text={text} partial={partial} isTabs={essence(output.mediaType) !== 'text/csv'} />
      ) : (
        <pre dir="auto">
          {text === '' ? 'This output is empty.' : kind === 'json' ? indentJson(text) : text}
        </pre>
      )}
    </>
  );
}

interface TableProps {
  readonly text: string;
  readonly partial: boolean;
  readonly isTabs: boolean;
}

function TablePreview({ text, partial, isTabs }: TableProps) {
  const { rows, cut, numeric } = useMemo(
    () => readTable(text, isTabs ? '\t' : ',', partial),
    [text, isTabs, partial],
  );
  const [head, ...body] = rows;
  if (head === undefined) return <p className="muted">There are no rows to show.</p>;
  return (
    <>
      {cut && rows.length === mostRows && (
        <p className="muted small">The first {mostRows} rows are shown; the download has all of them.</p>
      )}
      <table>
        <thead>
          <tr>
            {head.map((cell, column) => (
              <th key={column} scope="col" data-numeric={numeric[column]} dir="auto">
                {cell}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {body.map((row, at) => (
            <tr key={at}>
              {row.map((cell, column) => (
                <td key={column} data-numeric={numeric[column] ?? false} dir="auto">
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
