/** pdf.js, loaded when a document is opened. Its worker and data come from the bridge; no eval, no WebAssembly. */
import type { PDFDataRangeTransport, PDFDocumentProxy, PDFPageProxy } from 'pdfjs-dist';
import workerUrl from 'pdfjs-dist/build/pdf.worker.min.mjs?url';

type Library = typeof import('pdfjs-dist');
let library: Promise<Library> | undefined;

function load(): Promise<Library> {
  library ??= import('pdfjs-dist').then((pdf) => {
    pdf.GlobalWorkerOptions.workerSrc = workerUrl;
    return pdf;
  });
  return library;
}

/** Where a document comes from. */
export interface Source {
  /** Its size. */
  readonly bytes: number;
  /** Reads it from `begin` up to `end`. */
  readonly read: (begin: number, end: number) => Promise<Blob>;
  /** Closes the document and frees its worker. */
  readonly signal: AbortSignal;
  /** It cannot be read any more. */
  readonly onError: (error: unknown) => void;
}

/** A document of this size or less comes in one piece: each request is a way to the bridge and back. */
const atOnceBytes = 1024 * 1024;
/** The smallest piece of a larger one. pdf.js looks at where each page lies before it draws the first. */
const pieceBytes = 64 * 1024;

function transport(pdf: Library, { bytes, read, onError }: Source): PDFDataRangeTransport {
  class Ranges extends pdf.PDFDataRangeTransport {
    override requestDataRange(begin: number, end: number): void {
      const give = async () =>
        this.onDataRange(begin, new Uint8Array(await (await read(begin, end)).arrayBuffer()));
      give().catch(onError);
    }
  }
  return new Ranges(bytes, null);
}

/** Opens a document and reads of it what is drawn: the first page of a large one does not wait for the last. */
export async function openPdf(source: Source, password?: string): Promise<PDFDocumentProxy> {
  const pdf = await load();
  source.signal.throwIfAborted();
  const { href } = new URL('/pdf/', location.href);
  const worker = new pdf.PDFWorker();
  const task = pdf.getDocument({
    worker,
    range: transport(pdf, source),
    rangeChunkSize: source.bytes > atOnceBytes ? pieceBytes : atOnceBytes,
    disableAutoFetch: true,
    disableStream: true,
    ...(password === undefined ? {} : { password }),
    cMapUrl: `${href}cmaps/`,
    cMapPacked: true,
    standardFontDataUrl: `${href}fonts/`,
    wasmUrl: `${href}decoders/`,
    useWasm: false,
    isEvalSupported: false,
    enableXfa: false,
    stopAtErrors: false,
  });
  let opened = false;
  const close = async (): Promise<void> => {
    // A worker that is asked to stop while it waits for bytes throws an error nobody catches, so it is ended instead.
    if (opened) await task.destroy();
    worker.destroy();
  };
  source.signal.addEventListener('abort', () => void close());
  const document = await task.promise;
  opened = true;
  return document;
}

/** Whether the document is locked, and no password or a wrong one was given. */
export function needsPassword(error: unknown): boolean {
  return error instanceof Error && error.name === 'PasswordException';
}

const mostPixels = 8_000_000;

/** Draws a page in the width it is shown in, as sharp as the screen. Returns how to stop. */
export function drawPage(page: PDFPageProxy, canvas: HTMLCanvasElement, width: number): () => void {
  const plain = page.getViewport({ scale: 1 });
  const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
  const wanted = (width * ratio) / plain.width;
  const scale = Math.min(wanted, Math.sqrt(mostPixels / (plain.width * plain.height)));
  const viewport = page.getViewport({ scale });
  canvas.width = Math.max(1, Math.round(viewport.width));
  canvas.height = Math.max(1, Math.round(viewport.height));
  const task = page.render({ canvas, viewport });
  task.promise.then(
    () => canvas.setAttribute('data-drawn', 'true'),
    // Cancelled, or a page that cannot be drawn: its zones are shown on a blank page.
    () => undefined,
  );
  return () => task.cancel();
}

export type { PDFDocumentProxy, PDFPageProxy };
