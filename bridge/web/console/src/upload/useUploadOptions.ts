import { useCallback, useRef, useState } from 'react';
import { useUploads } from './context.tsx';
import { isAboutParameters, readParameters } from './parameters.ts';

/** The options beside the drop zone, and how files are added with them: not at all while the parameters are wrong. */
export function useUploadOptions() {
  const { uploads, list } = useUploads();
  const [text, setText] = useState('');
  const [isOpen, setOpen] = useState(false);
  const [inputError, setInputError] = useState<string | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const typed = useRef('');

  const add = useCallback(
    (files: Iterable<File>) => {
      const input = readParameters(typed.current);
      setInputError(input.ok ? null : input.error);
      if (input.ok) return uploads.add(files, input.parameters);
      setOpen(true);
      requestAnimationFrame(() => field.current?.focus());
    },
    [uploads],
  );
  const change = (changed: string) => {
    typed.current = changed;
    setText(changed);
    setInputError(null);
  };
  // What the server said of these very parameters.
  const refused = list.find(
    ({ state, error, parameters }) =>
      state === 'failed' && parameters?.text === text.trim() && isAboutParameters(error ?? ''),
  );
  const error = inputError ?? refused?.error ?? null;
  return { add, options: { text, change, error, isOpen, setOpen, field } };
}
