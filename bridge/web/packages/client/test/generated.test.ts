/** Types and readers are those of the bridge's schema, and readers check what they read. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { readAuditEntry, readJob, readShownDevice, readZone } from '../src/readers.generated.ts';
import { job, zone } from './harness.ts';

it('the generated files are what the schema says', () => {
  const generate = new URL('../../../tools/generate.mjs', import.meta.url).pathname;
  // Throws with its output when one is stale.
  execFileSync(process.execPath, [generate, '--check']);
});

describe('a reader', () => {
  const formats = (format: string) => ({
    formats: [format, 'md'].map((each) => ({
      format: each,
      state: 'started',
      progress: 0,
    })),
  });

  it.each([
    [{ jobId: 7 }, '"jobId" is not a string'],
    [{ revision: '7' }, '"revision" is not a number'],
    [{ revision: Number.NaN }, '"revision" is not a number'],
    [{ createTime: null }, '"createTime" is not a string'],
    [{ attempts: {} }, '"attempts" is not a list'],
    [{ warnings: [1] }, '"warnings" is not a string'],
    [{ labels: { team: 7 } }, '"team" is not a string'],
    [{ error: 'no' }, '"error" is not an object'],
    [{ currentZone: { ...zone(1, 1), page: '1' } }, '"page" is not a number'],
    [{ state: 'dancing' }, '"state" is not one of queued, '],
  ])('names the field that is wrong: %j', (wrong, message) => {
    expect(() => readJob({ ...job(), ...wrong }, 'job')).toThrow(message);
  });

  it('leaves out fields it does not know, and takes null for what is left out', () => {
    const { batchId: _, ...without } = job();
    expect(readJob({ ...without, colour: 'red' }, 'job')).toEqual(job());
    expect(() => readJob({ ...job(), owner: undefined }, 'job')).toThrow('"owner" is not a string');
  });

  it('does with words of a newer bridge what the schema says', () => {
    expect(readJob({ ...job(), lane: 'express', step: 'sign' }, 'job')).toMatchObject({
      lane: 'normal',
      step: 'extract',
    });
    expect(readZone(zone(1, 1, 'formula'), 'zone').kind).toBe('unknown');
    expect(readJob({ ...job(), result: formats('docx') }, 'job').result?.formats).toMatchObject([
      { format: 'md' },
    ]);
    const device = { deviceId: 'd', transports: ['pigeon', 'sse'], connections: 1 };
    expect(readShownDevice(device, 'device').transports).toEqual(['sse']);
    const entry = { number: 1, time: '2026-11-21T09:00:00Z', action: 'painted' };
    expect(readAuditEntry(entry, 'entry').action).toBe('painted');
  });

  it('keeps a percentage within its range', () => {
    expect([-1, 41.7, 101].map((progress) => readJob({ ...job(), progress }, 'job').progress)).toEqual([
      0, 41.7, 100,
    ]);
  });
});
