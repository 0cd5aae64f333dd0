// Usage: node graphile_worker.mjs POSTGRES_URL JOBS
import { Logger, run, runMigrations } from 'graphile-worker';
import { measure } from './measure.mjs';

const [connectionString, jobs] = process.argv.slice(2);
const logger = new Logger(() => () => {});
await runMigrations({ connectionString, logger });
const options = { connectionString, logger, concurrency: 50, noHandleSignals: true, pollInterval: 1000, maxPoolSize: 20 };
const runner = await run({ ...options, taskList: { noop: async () => {} } });
await measure(Number(jobs), {
  add: (id) => runner.addJob('noop', { id }),
  completed: (callback) => runner.events.on('job:complete', ({ job }) => callback(job.payload.id)),
});
