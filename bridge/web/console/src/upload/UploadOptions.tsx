import { ChevronDown } from 'lucide-react';
import { type Ref, useId } from 'react';

interface Props {
  readonly text: string;
  readonly change: (text: string) => void;
  readonly error: string | null;
  readonly isOpen: boolean;
  readonly setOpen: (isOpen: boolean) => void;
  readonly field: Ref<HTMLTextAreaElement>;
}

/** What goes along with the files that are chosen next. */
export function UploadOptions({ text, change, error, isOpen, setOpen, field }: Props) {
  const id = useId();
  return (
    <details
      className="upload-options"
      open={isOpen}
      onToggle={({ currentTarget }) => setOpen(currentTarget.open)}
    >
      <summary data-testid="upload-options">
        Options
        <ChevronDown aria-hidden="true" className="chevron" />
      </summary>
      <label htmlFor={id}>Parameters (JSON)</label>
      <textarea
        id={id}
        ref={field}
        rows={3}
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={({ target }) => change(target.value)}
        aria-invalid={error !== null}
        aria-describedby={`${id}-help${error === null ? '' : ` ${id}-error`}`}
        data-testid="upload-parameters"
      />
      <p id={`${id}-help`} className="muted small">
        They apply to the files that you add next, for example {'{"key": "value"}'}.
      </p>
      {error !== null && (
        <p id={`${id}-error`} className="bad" role="alert" data-testid="upload-parameters-error">
          {error}
        </p>
      )}
    </details>
  );
}
