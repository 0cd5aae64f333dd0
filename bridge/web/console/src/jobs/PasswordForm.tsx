import type { Job } from '@courant/client';
import { useCourant } from '@courant/react';
import { type FormEvent, useState } from 'react';
import { keepPassword } from '../paper/copies.ts';
import { failure } from '../ui/format.ts';

/** Opens a document that is locked, by trying the job again with its password. */
export function PasswordForm({ job }: { readonly job: Job }) {
  const client = useCourant();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const password = String(new FormData(event.currentTarget).get('password') ?? '');
    setBusy(true);
    try {
      keepPassword(job.jobId, password);
      await client.retry(job.jobId, { password });
    } catch (error) {
      setProblem(failure(error));
    }
    setBusy(false);
  };
  return (
    <form className="password" onSubmit={(event) => void submit(event)} data-testid="password-form">
      <label className="field">
        <span>Password of {job.filename}</span>
        <input
          name="password"
          type="password"
          autoComplete="off"
          required
          maxLength={1024}
          data-testid="password"
        />
      </label>
      <button type="submit" className="button small primary" disabled={busy} data-testid="password-submit">
        Open and read
      </button>
      {problem !== null && (
        <p className="bad small" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}
