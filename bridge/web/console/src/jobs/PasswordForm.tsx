import type { Job } from '@courant/client';
import { useJobActions } from '@courant/react';
import { PasswordForm as Form } from '@courant/react/components';
import { errorMessage } from '@courant/react/format';
import { passwordSlots } from '../ui/password-slots.ts';
import { cachePassword } from '../viewer/document-cache.ts';

/** Opens a document that is locked, by trying the job again with its password. */
export function PasswordForm({ job }: { readonly job: Job }) {
  const { busy, error, retry } = useJobActions(job);
  const open = (password: string) => {
    cachePassword(job.jobId, password);
    void retry({ password });
  };
  return (
    <Form
      label={`Password of ${job.filename}`}
      verb="Open and read"
      busy={busy}
      error={error === null ? null : errorMessage(error)}
      onPassword={open}
      slotProps={passwordSlots('password-form', 'password')}
    />
  );
}
