import { Jobs } from './jobs';

export default function Page() {
  return (
    <main>
      <h1>Jobs</h1>
      <Jobs />
    </main>
  );
}
