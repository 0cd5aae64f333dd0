import type { Job } from '@courant/client';
import { useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useState } from 'react';
import { CopyButton } from '../ui/CopyButton.tsx';
import { formatBytes } from '../ui/format.ts';

/** What the workers were told to do. Large parameters are loaded when asked for. */
export function Parameters({ job }: { readonly job: Job }) {
  const client = useCourant();
  const [loaded, setLoaded] = useState<Job['parameters']>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  if (job.parametersBytes === 0) return null;
  const parameters = job.parameters ?? loaded;
  const load = async () => {
    setBusy(true);
    setError(null);
    try {
      setLoaded((await client.get(job.jobId)).job.parameters);
    } catch (error) {
      setError(errorMessage(error));
    }
    setBusy(false);
  };
  return (
    <>
      <h3>Parameters</h3>
      {parameters === null ? (
        <button
          type="button"
          className="button small"
          disabled={busy}
          onClick={() => void load()}
          data-testid="load-parameters"
        >
          Show parameters ({formatBytes(job.parametersBytes)})
        </button>
      ) : (
        <ParametersText text={JSON.stringify(parameters, null, 2)} />
      )}
      {error && (
        <p className="bad" role="alert">
          {error}
        </p>
      )}
    </>
  );
}

function ParametersText({ text }: { readonly text: string }) {
  return (
    <section className="parameters" aria-label="Parameters">
      <pre className="source" tabIndex={0} data-testid="parameters">
        {text}
      </pre>
      <CopyButton text={text} testId="copy-parameters" label="Copy parameters" />
    </section>
  );
}
