// What every peer is measured by: no-op jobs that are added one by one, at most 100 adds under way, while they are worked
// on; then one job at a time on an idle queue. `BENCH_ROWS` (`jobs,single`) says which of the two. Prints `begin` and `end`
// around each and waits for a line on standard input, so that processor time can be read there; then one line of JSON.
import { createInterface } from 'node:readline';

const noted = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const mark = async (word) => {
  console.log(word);
  await noted.next();
};

const ROWS = (process.env.BENCH_ROWS ?? 'jobs,single').split(',');
const IN_FLIGHT = 100;
const SAMPLES = 300;

/** `add(id)` resolves once the job is durable, `completed(callback)` calls back for each job that is done. */
export async function measure(jobs, { add, completed }) {
  let count = 0;
  let onCount = () => {};
  const waiters = new Map();
  completed((id) => {
    count += 1;
    waiters.get(id)?.();
    onCount();
  });
  const reached = (wanted) =>
    new Promise((resolve) => {
      onCount = () => count >= wanted && resolve();
      onCount();
    });

  const figures = {};
  if (ROWS.includes('jobs')) {
    await mark('begin');
    const started = performance.now();
    const all = reached(jobs);
    let next = 0;
    const client = async () => {
      while (next < jobs) {
        next += 1;
        await add(`job-${next}`);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, client));
    await all;
    figures.jobs_per_s = (jobs * 1000) / (performance.now() - started);
    await mark('end');
  }

  if (ROWS.includes('single')) {
    await mark('begin');
    const latencies = [];
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      const begun = performance.now();
      const id = `single-${sample}`;
      const done = new Promise((resolve) => waiters.set(id, resolve));
      await add(id);
      await done;
      latencies.push(performance.now() - begun);
    }
    await mark('end');
    latencies.sort((a, b) => a - b);
    figures.single_p50_ms = latencies[SAMPLES / 2];
    figures.single_p99_ms = latencies[Math.floor(SAMPLES * 0.99)];
  }
  console.log(JSON.stringify(figures));
  process.exit(0);
}
