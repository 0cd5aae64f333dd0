import { type JobView, view } from '@courant/client';
import { describe, expect, it } from 'vitest';
import { job } from '../../packages/client/test/harness.ts';
import { CardPositions, orderCards } from '../src/jobs/card-order.ts';
import type { Upload } from '../src/upload/uploads.ts';

const batch = { id: 'b', size: 3 };
const upload = (name: string, together = true): Upload => ({
  id: name,
  file: new File(['x'], name),
  parameters: null,
  state: 'sending',
  sent: 0,
  isCut: false,
  error: null,
  canRetry: false,
  batch: together ? batch : null,
});
const jobOf = (filename: string, batchId: string | null = 'b'): JobView =>
  view(job({ jobId: `job of ${filename}`, filename, batchId }), 0);

function shown(
  positions: CardPositions,
  uploads: readonly Upload[],
  views: readonly JobView[],
): readonly string[] {
  positions.keep(uploads, views);
  return orderCards(uploads, views, positions).map((card) => card.upload?.id ?? card.view?.job.jobId ?? '');
}

describe('uploads and jobs', () => {
  it('stand newest first', () => {
    const uploads = [upload('a'), upload('alone', false), upload('b')];
    expect(shown(new CardPositions(), uploads, [jobOf('old', null)])).toEqual([
      'b',
      'a',
      'alone',
      'job of old',
    ]);
  });

  it('keep their positions, in whatever order they arrive', () => {
    const positions = new CardPositions();
    const [a, b, c] = [upload('a'), upload('b'), upload('c')];
    const old = jobOf('old', null);
    expect(shown(positions, [a, b, c], [old])).toEqual(['c', 'b', 'a', 'job of old']);
    expect(shown(positions, [a, c], [jobOf('b'), old])).toEqual(['c', 'job of b', 'a', 'job of old']);
    expect(shown(positions, [c], [jobOf('a'), jobOf('b'), old])).toEqual([
      'c',
      'job of b',
      'job of a',
      'job of old',
    ]);
    expect(shown(positions, [], [jobOf('a'), jobOf('c'), jobOf('b'), old])).toEqual([
      'job of c',
      'job of b',
      'job of a',
      'job of old',
    ]);
  });

  it('are not shown twice when a job is heard of before its upload is answered', () => {
    expect(shown(new CardPositions(), [upload('a'), upload('b')], [jobOf('a')])).toEqual(['b', 'job of a']);
  });

  it('are told from older jobs of the same name', () => {
    const positions = new CardPositions();
    const [alone, older] = [upload('a', false), jobOf('a', null)];
    expect(shown(positions, [alone], [older])).toEqual(['a', 'job of a']);
    const newer = view(job({ jobId: 'newer', filename: 'a', batchId: null }), 0);
    expect(shown(positions, [alone], [newer, older])).toEqual(['newer', 'job of a']);
  });

  it('may have the same name', () => {
    const positions = new CardPositions();
    expect(shown(positions, [upload('a'), upload('a')], [jobOf('a')])).toEqual(['job of a', 'a']);
  });

  it('stand as they came where nobody saw them come', () => {
    expect(shown(new CardPositions(), [], [jobOf('b'), jobOf('a')])).toEqual(['job of b', 'job of a']);
  });
});
