'use client';

import { CourantClient } from '@courant/client';
import { CourantProvider, useJobs } from '@courant/react';
import { ConnectionStatus, JobProgress } from '@courant/react/components';
import { useEffect, useState } from 'react';

function List() {
  const { jobs, hasMore, loadMore } = useJobs();
  return (
    <>
      {jobs.map(({ job }) => (
        <JobProgress key={job.jobId} jobId={job.jobId} actions />
      ))}
      {hasMore && (
        <button type="button" onClick={() => loadMore()}>
          Load more
        </button>
      )}
    </>
  );
}

/** Rendered on the server as "not connected", and connected once it is in the browser. */
export function Jobs({ url }: { readonly url: string }) {
  const [client] = useState(
    () => new CourantClient({ url, token: async () => (await fetch('/api/token')).text() }),
  );
  useEffect(() => {
    client.connect();
    return () => client.disconnect();
  }, [client]);
  return (
    <CourantProvider client={client}>
      <ConnectionStatus />
      <List />
    </CourantProvider>
  );
}
