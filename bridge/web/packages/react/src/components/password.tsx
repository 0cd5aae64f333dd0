import { type FormEvent, type ReactNode, useId } from 'react';
import type { Slot } from './slots.ts';

export interface PasswordFormProps {
  readonly label: ReactNode;
  /** The word on the button. Default `Open`. */
  readonly verb?: string;
  readonly busy?: boolean;
  /** Why the last password did not do. */
  readonly error?: string | null;
  readonly onPassword: (password: string) => void;
  readonly slotProps?: {
    readonly form?: Slot<'form'>;
    readonly label?: Slot<'label'>;
    readonly input?: Slot<'input'>;
    readonly button?: Slot<'button'>;
    readonly error?: Slot<'p'>;
  };
}

/** Asks for the password of a document. The password is in the form only. */
export function PasswordForm({
  label,
  verb = 'Open',
  busy = false,
  error = null,
  onPassword,
  slotProps = {},
}: PasswordFormProps) {
  const errorId = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    onPassword(String(new FormData(event.currentTarget).get('password') ?? ''));
  };
  return (
    <form data-courant="password" {...slotProps.form} onSubmit={submit}>
      <label {...slotProps.label}>
        <span>{label}</span>{' '}
        <input
          name="password"
          type="password"
          autoComplete="off"
          required
          maxLength={1024}
          aria-describedby={error === null ? undefined : errorId}
          {...slotProps.input}
        />
      </label>
      <button type="submit" disabled={busy} {...slotProps.button}>
        {verb}
      </button>
      {error !== null && (
        <p role="alert" id={errorId} {...slotProps.error}>
          {error}
        </p>
      )}
    </form>
  );
}
