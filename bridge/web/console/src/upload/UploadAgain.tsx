import { FileUp } from 'lucide-react';
import { useRef } from 'react';
import { home } from '../shell/route.ts';
import { useUploads } from './context.tsx';

/** Chooses a repaired copy of a document, where a retry cannot help. */
export function UploadAgain({ filename }: { readonly filename: string }) {
  const { uploads } = useUploads();
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button
        type="button"
        className="button small"
        onClick={() => input.current?.click()}
        aria-label={`Upload again: ${filename}`}
        data-testid="upload-again"
      >
        <FileUp aria-hidden="true" />
        Upload again
      </button>
      <input
        ref={input}
        className="hidden"
        type="file"
        accept="application/pdf,.pdf"
        tabIndex={-1}
        aria-label={`Choose another copy of ${filename}`}
        onChange={({ target }) => {
          if (target.files?.length) {
            uploads.add(target.files);
            location.hash = home;
          }
          target.value = '';
        }}
      />
    </>
  );
}
