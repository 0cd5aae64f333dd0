interface Props {
  /** The last one did not open it. */
  readonly refused: boolean;
  readonly unlock: (password: string) => void;
}

/** The password to draw a locked document with. It stays in this tab. */
export function Unlock({ refused, unlock }: Props) {
  return (
    <form
      className="password"
      data-testid="unlock"
      onSubmit={(event) => {
        event.preventDefault();
        unlock(String(new FormData(event.currentTarget).get('password') ?? ''));
      }}
    >
      <label className="field">
        <span>The document is locked. Its password, to draw the pages here:</span>
        <input
          name="password"
          type="password"
          autoComplete="off"
          required
          maxLength={1024}
          aria-describedby={refused ? 'unlock-refused' : undefined}
          data-testid="unlock-password"
        />
      </label>
      <button type="submit" className="button small primary" data-testid="unlock-submit">
        Draw
      </button>
      {refused && (
        <p className="bad small" role="alert" id="unlock-refused">
          That password does not open it.
        </p>
      )}
    </form>
  );
}
