import { CourantErrorBoundary } from '@courant/react/components';
import { CloudOff } from 'lucide-react';
import type { ReactNode } from 'react';

interface Props {
  readonly children: ReactNode;
  /** What is broken, for a boundary around a part of the page. */
  readonly part?: string;
}

/** Keeps one broken part from taking the page with it, and says so. */
export function ErrorBoundary({ children, part }: Props) {
  const fallback = (error: Error, retry: () => void) =>
    isMissing(error) ? (
      <Missing online={navigator.onLine} />
    ) : (
      <Broken part={part} error={error} again={retry} />
    );
  return <CourantErrorBoundary fallback={fallback}>{children}</CourantErrorBoundary>;
}

/** A part of the console that is loaded when it is needed, and was not there to be loaded: browsers say so in their own words. */
function isMissing({ message }: Error): boolean {
  return /dynamically imported module|importing a module script|preload css/i.test(message);
}

function Missing({ online }: { readonly online: boolean }) {
  return (
    <div className="panel empty-panel" role="alert" data-testid="view-missing">
      <CloudOff aria-hidden="true" />
      <strong>This view could not be loaded</strong>
      <p className="muted">
        {online
          ? 'The console may have been replaced by a newer one. Load the page again to get it.'
          : 'There is no network. Your jobs go on; come back here when it is there again.'}
      </p>
      <button type="button" className="button small" onClick={() => location.reload()}>
        Reload the page
      </button>
    </div>
  );
}

interface BrokenProps {
  readonly part: string | undefined;
  readonly error: Error;
  readonly again: () => void;
}

function Broken({ part, error, again }: BrokenProps) {
  return (
    <div className="broken" role="alert">
      <strong>{part ? `${part} cannot be shown.` : 'Something went wrong on this page.'}</strong>
      <p>Your jobs are not affected: they run on the server.</p>
      <p className="mono">{error.message}</p>
      <div className="row">
        <button type="button" className="button" onClick={again}>
          Try again
        </button>
        <button type="button" className="button" onClick={() => location.reload()}>
          Reload the page
        </button>
      </div>
    </div>
  );
}
