// Usage: node bullmq.mjs REDIS_PORT JOBS
import { Queue, QueueEvents, Worker } from 'bullmq';
import { measure } from './measure.mjs';

const [port, jobs] = process.argv.slice(2).map(Number);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const name = `bench-${process.pid}`;
const queue = new Queue(name, { connection, defaultJobOptions: { removeOnComplete: true } });
const events = new QueueEvents(name, { connection });
await events.waitUntilReady();
const worker = new Worker(name, async () => {}, { connection, concurrency: 50 });
await worker.waitUntilReady();
await measure(jobs, {
  add: (jobId) => queue.add('noop', {}, { jobId }),
  completed: (callback) => events.on('completed', ({ jobId }) => callback(jobId)),
});
