import { CopyButton } from '../ui/CopyButton.tsx';

/** A secret that is shown this once. */
export function SecretOnce({ secret, onDone }: { readonly secret: string; readonly onDone: () => void }) {
  return (
    <div className="note warn webhook-secret" role="status" data-testid="webhook-secret">
      <p>
        Copy the secret now. It verifies what is sent, and is not shown again.
        <br />
        <code className="mono">{secret}</code>
      </p>
      <div className="row">
        <CopyButton text={secret} testId="copy-secret" label="Copy the secret" />
        <button type="button" className="button small" onClick={onDone} data-testid="secret-done">
          Done
        </button>
      </div>
    </div>
  );
}
