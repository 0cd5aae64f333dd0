import { connection } from 'next/server';
import { Jobs } from './jobs';

export default async function Page() {
  // The address is read when somebody comes, not when the app is built.
  await connection();
  return (
    <main>
      <h1>Jobs</h1>
      <Jobs url={process.env.COURANT_URL ?? 'http://127.0.0.1:8080'} />
    </main>
  );
}
