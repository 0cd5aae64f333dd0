/** What a media type is called, and how an output of it is previewed. */

export type PreviewKind = 'image' | 'text' | 'markdown' | 'table' | 'json';

/** The type without its parameters, in lower case. */
export const essence = (mediaType: string): string => (mediaType.split(';')[0] ?? '').trim().toLowerCase();

const names: Readonly<Record<string, string>> = {
  'application/gzip': 'Gzip archive',
  'application/json': 'JSON',
  'application/octet-stream': 'Binary data',
  'application/pdf': 'PDF document',
  'application/xml': 'XML',
  'application/zip': 'ZIP archive',
  'image/gif': 'GIF image',
  'image/jpeg': 'JPEG image',
  'image/png': 'PNG image',
  'image/svg+xml': 'SVG image',
  'image/webp': 'WebP image',
  'text/csv': 'CSV table',
  'text/html': 'HTML',
  'text/markdown': 'Markdown',
  'text/plain': 'Text',
  'text/tab-separated-values': 'TSV table',
};

const images = new Set(['image/gif', 'image/jpeg', 'image/png', 'image/svg+xml', 'image/webp']);
const texts = new Set(['application/x-ndjson', 'application/xml', 'application/yaml']);

/** `CSV table`; a type without a name of its own is shown as it is. */
export function mediaTypeName(mediaType: string): string {
  const type = essence(mediaType);
  return names[type] ?? (type || 'Unknown type');
}

/** `null`: there is no preview. HTML is previewed as its source. */
export function previewKind(mediaType: string): PreviewKind | null {
  const type = essence(mediaType);
  if (images.has(type)) return 'image';
  if (type === 'text/csv' || type === 'text/tab-separated-values') return 'table';
  if (type === 'text/markdown') return 'markdown';
  if (type === 'application/json' || type.endsWith('+json')) return 'json';
  return type.startsWith('text/') || texts.has(type) ? 'text' : null;
}

/** The text of bytes that may end within a character; UTF-8 unless the type names a charset that browsers know. */
export function decodeText(bytes: ArrayBuffer, mediaType: string): string {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(mediaType)?.[1] ?? 'utf-8';
  // A stream keeps back a character whose end is missing.
  return decoderOf(charset).decode(bytes, { stream: true });
}

function decoderOf(charset: string): TextDecoder {
  try {
    return new TextDecoder(charset);
  } catch {
    return new TextDecoder();
  }
}
