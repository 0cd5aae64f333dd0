import { PasswordForm } from '@courant/react/components';
import { passwordSlots } from '../ui/password-slots.ts';

interface Props {
  /** The last password did not open it. */
  readonly refused: boolean;
  readonly unlock: (password: string) => void;
}

/** The password to draw a locked document with. It stays in this tab. */
export function UnlockForm({ refused, unlock }: Props) {
  return (
    <PasswordForm
      label="The document is locked. Its password, to draw the pages here:"
      verb="Draw"
      error={refused ? 'That password does not open it.' : null}
      onPassword={unlock}
      slotProps={passwordSlots('unlock', 'unlock', 'unlock-password')}
    />
  );
}
