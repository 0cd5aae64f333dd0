import type { JobView } from '@courant/client';
import type { Upload } from '../upload/uploads.ts';

export type Card =
  | { readonly upload: Upload; readonly view?: undefined }
  | { readonly view: JobView; readonly upload?: undefined };

/** Where files stand, so that a job takes the place of its upload, in whatever order they arrive; kept while the page is open. */
export class CardPositions {
  readonly #names = new Map<string, readonly string[]>();
  /** The jobs that were there when a file came that came alone. */
  readonly #before = new Map<string, ReadonlySet<string>>();

  /** Remembers what is on its way. */
  keep(uploads: readonly Upload[], views: readonly JobView[]): void {
    for (const { batch, id } of uploads) {
      if (batch !== null || this.#before.has(id)) continue;
      this.#before.set(id, new Set(views.map(({ job }) => job.jobId)));
    }
    const names = new Map<string, string[]>();
    for (const { batch, file } of uploads.toReversed()) {
      if (batch !== null) names.set(batch.id, [...(names.get(batch.id) ?? []), file.name]);
    }
    for (const [batchId, all] of names) {
      if (!this.#names.has(batchId)) this.#names.set(batchId, all);
    }
  }

  /** The names of the files of a batch as they stand, newest first. */
  of(batchId: string): readonly string[] {
    return this.#names.get(batchId) ?? [];
  }

  /** Whether a job is there that came of a file that came alone. */
  arrived({ file, id }: Upload, views: readonly JobView[]): boolean {
    const before = this.#before.get(id);
    return views.some(
      ({ job }) => job.batchId === null && job.filename === file.name && before?.has(job.jobId) === false,
    );
  }
}

/** Takes the first of its kind out of a list. */
function takeFirst<T>(from: T[], is: (each: T) => boolean): T | undefined {
  const at = from.findIndex(is);
  return at < 0 ? undefined : from.splice(at, 1)[0];
}

/** Uploads and jobs, newest first, and each file once, though the event of its job may come before the answer to its upload. */
export function orderCards(
  uploads: readonly Upload[],
  views: readonly JobView[],
  positions: CardPositions,
): readonly Card[] {
  const cards: Card[] = [];
  const placed = new Set<string>();
  const placeBatch = (batchId: string): void => {
    if (placed.has(batchId)) return;
    placed.add(batchId);
    const jobs = views.filter(({ job }) => job.batchId === batchId);
    const coming = uploads.filter(({ batch }) => batch?.id === batchId).reverse();
    for (const name of positions.of(batchId)) {
      const view = takeFirst(jobs, ({ job }) => job.filename === name);
      const upload = takeFirst(coming, ({ file }) => file.name === name);
      if (view) cards.push({ view });
      else if (upload) cards.push({ upload });
    }
    cards.push(...coming.map((upload) => ({ upload })), ...jobs.map((view) => ({ view })));
  };
  for (const upload of uploads.toReversed()) {
    if (upload.batch !== null) placeBatch(upload.batch.id);
    else if (upload.state === 'failed' || !positions.arrived(upload, views)) cards.push({ upload });
  }
  for (const view of views) {
    if (view.job.batchId === null) cards.push({ view });
    else placeBatch(view.job.batchId);
  }
  return cards;
}
