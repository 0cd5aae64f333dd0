// What every peer is measured by: no-op jobs that are added one by one, at most 100 adds under way, while they are worked
// on; then one job at a time on an idle queue. Prints one line of JSON.

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
  const seconds = (performance.now() - started) / 1000;

  const latencies = [];
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const begun = performance.now();
    const id = `single-${sample}`;
    const done = new Promise((resolve) => waiters.set(id, resolve));
    await add(id);
    await done;
    latencies.push(performance.now() - begun);
  }
  latencies.sort((a, b) => a - b);
  const [single_p50_ms, single_p99_ms] = [latencies[SAMPLES / 2], latencies[Math.floor(SAMPLES * 0.99)]];
  console.log(JSON.stringify({ jobs_per_s: jobs / seconds, single_p50_ms, single_p99_ms }));
  process.exit(0);
}
