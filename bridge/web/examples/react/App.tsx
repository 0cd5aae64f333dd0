// A whole application with live jobs: choose PDFs, watch them being read, see how the connection does.
import { CourantClient } from '@courant/client';
import { CourantProvider, useCourant, useJobs } from '@courant/react';
import { ConnectionStatus, JobProgress, NotificationList } from '@courant/react/components';

// The token comes from whoever signs people in; it is asked for again when it runs out.
const token = async () => (await fetch('/my-own/token')).text();
const client = new CourantClient({ url: 'http://127.0.0.1:8080', token });
client.connect();

function Jobs() {
  const courant = useCourant();
  const { jobs, hasMore, loadMore } = useJobs();
  const submit = (files: FileList | null) => Array.from(files ?? [], (file) => courant.submit(file));
  return (
    <main>
      <ConnectionStatus />
      <input type="file" accept=".pdf" multiple aria-label="PDFs" onChange={(e) => submit(e.target.files)} />
      {jobs.map(({ job }) => (
        <JobProgress key={job.jobId} jobId={job.jobId} actions />
      ))}
      {hasMore && (
        <button type="button" onClick={() => loadMore()}>
          Load more
        </button>
      )}
      <NotificationList />
    </main>
  );
}

export const App = () => (
  <CourantProvider client={client}>
    <Jobs />
  </CourantProvider>
);
