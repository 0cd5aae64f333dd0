import { Check, Copy } from 'lucide-react';
import { useState } from 'react';

interface Props {
  readonly text: string;
  readonly testId: string;
  /** For screen readers, where `Copy` alone does not say what. */
  readonly label?: string;
}

export function CopyButton({ text, testId, label }: Props) {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    // Missing without a secure context; the text can still be selected by hand.
    void navigator.clipboard?.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    });
  };
  if (!('clipboard' in navigator)) return null;
  return (
    <button
      type="button"
      className="button small copy"
      aria-label={copied ? undefined : label}
      onClick={copy}
      data-testid={testId}
    >
      {copied ? <Check aria-hidden="true" /> : <Copy aria-hidden="true" />}
      {copied ? 'Copied' : 'Copy'}
    </button>
  );
}
