import { type CourantClient, CourantError, type Output } from '@courant/client';
import { useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useEffect, useState } from 'react';
import { decodeText, essence, previewKind } from './media-type.ts';

/** So many bytes are loaded for a preview at most. */
export const mostPreviewBytes = 2 * 1024 * 1024;

export type Preview =
  | { readonly state: 'loading' | 'none' | 'large' }
  | { readonly state: 'failed'; readonly message: string }
  | { readonly state: 'image'; readonly url: string }
  /** `partial`: only the first bytes of it. */
  | { readonly state: 'text'; readonly text: string; readonly partial: boolean };

const loading: Preview = { state: 'loading' };

async function load(
  client: CourantClient,
  jobId: string,
  output: Output,
  signal: AbortSignal,
): Promise<Preview> {
  const { name, mediaType, sizeBytes } = output;
  const kind = previewKind(mediaType);
  if (kind === null) return { state: 'none' };
  const partial = sizeBytes > mostPreviewBytes;
  if (kind !== 'image') {
    if (sizeBytes === 0) return { state: 'text', text: '', partial };
    const end = Math.min(sizeBytes, mostPreviewBytes);
    const { blob } = await client.outputPart(jobId, name, [0, end], signal);
    // All of it comes from a proxy that knows no ranges.
    const text = decodeText(await blob.slice(0, end).arrayBuffer(), mediaType);
    return { state: 'text', text, partial };
  }
  if (partial) return { state: 'large' };
  const blob = await client.output(jobId, name, signal);
  // The type by which this preview was chosen, whatever the answer says.
  return { state: 'image', url: URL.createObjectURL(new Blob([blob], { type: essence(mediaType) })) };
}

/** What an output looks like, loaded again when it was replaced. */
export function useOutput(jobId: string, output: Output): Preview {
  const client = useCourant();
  const key = `${jobId} ${output.name} ${output.sha256}`;
  const [loaded, setLoaded] = useState<{ readonly key: string; readonly preview: Preview }>();

  useEffect(() => {
    const abort = new AbortController();
    let url: string | null = null;
    load(client, jobId, output, abort.signal).then(
      (preview) => {
        if (preview.state === 'image') url = preview.url;
        if (!abort.signal.aborted) setLoaded({ key, preview });
        else if (url !== null) URL.revokeObjectURL(url);
      },
      (error: unknown) => {
        if (abort.signal.aborted || (error instanceof CourantError && error.code === 'ABORTED')) return;
        setLoaded({ key, preview: { state: 'failed', message: errorMessage(error) } });
      },
    );
    return () => {
      abort.abort();
      if (url !== null) URL.revokeObjectURL(url);
    };
  }, [client, key]);

  return loaded?.key === key ? loaded.preview : loading;
}
