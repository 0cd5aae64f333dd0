// Fetches and completes batches of 50. Usage: node pgboss.mjs POSTGRES_URL JOBS
import PgBoss from 'pg-boss';
import { measure } from './measure.mjs';

const [connectionString, jobs] = process.argv.slice(2);
const boss = new PgBoss({ connectionString, max: 10 });
boss.on('error', console.error);
await boss.start();
const queue = `bench${process.pid}`;
await boss.createQueue(queue);
let callback = () => {};
const work = async () => {
  for (;;) {
    const batch = await boss.fetch(queue, { batchSize: 50 });
    if (batch.length === 0) continue;
    await boss.complete(queue, batch.map((job) => job.id));
    batch.forEach((job) => callback(job.data.id));
  }
};
work();
await measure(Number(jobs), {
  add: (id) => boss.send(queue, { id }),
  completed: (told) => (callback = told),
});
