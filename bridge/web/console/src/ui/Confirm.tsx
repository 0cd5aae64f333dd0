import { AlertDialog } from '@base-ui/react/alert-dialog';
import type { ReactNode } from 'react';

interface Props {
  readonly open: boolean;
  readonly title: string;
  readonly children: ReactNode;
  /** The word on the button that does it. */
  readonly verb: string;
  /** The word on the button that does nothing. */
  readonly keep: string;
  readonly danger?: boolean;
  readonly onAnswer: (yes: boolean) => void;
}

/** Asks before something that cannot be taken back. The harmless answer has the focus. */
export function Confirm({ open, title, children, verb, keep, danger = true, onAnswer }: Props) {
  return (
    <AlertDialog.Root open={open} onOpenChange={(next) => !next && onAnswer(false)}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup className="dialog" data-testid="confirm">
          <AlertDialog.Title className="dialog-title">{title}</AlertDialog.Title>
          <AlertDialog.Description className="dialog-text" render={<div />}>
            {children}
          </AlertDialog.Description>
          <div className="dialog-row">
            <AlertDialog.Close className="button" data-testid="confirm-no">
              {keep}
            </AlertDialog.Close>
            <button
              type="button"
              className={danger ? 'button danger' : 'button primary'}
              onClick={() => onAnswer(true)}
              data-testid="confirm-yes"
            >
              {verb}
            </button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
