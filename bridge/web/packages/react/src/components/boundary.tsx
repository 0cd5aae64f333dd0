import { Component, type ComponentType, type ReactNode } from 'react';

export interface ErrorBoundaryProps {
  readonly children: ReactNode;
  /** Shown instead; gets the error and the way to try again. */
  readonly fallback?: (error: Error, retry: () => void) => ReactNode;
  readonly onError?: (error: Error) => void;
}

/** Keeps a broken part from taking the page with it. */
export class CourantErrorBoundary extends Component<ErrorBoundaryProps, { readonly error: Error | null }> {
  override state: { readonly error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { readonly error: Error } {
    return { error };
  }

  override componentDidCatch(error: Error): void {
    this.props.onError?.(error);
  }

  override render(): ReactNode {
    const { error } = this.state;
    const { children, fallback } = this.props;
    if (error === null) return children;
    const retry = () => this.setState({ error: null });
    if (fallback) return fallback(error, retry);
    return (
      <div role="alert" data-courant="error">
        <p>This part cannot be shown. Your jobs are not affected.</p>
        <button type="button" onClick={retry}>
          Try again
        </button>
      </div>
    );
  }
}

/** A component with its own boundary around it. */
export function withErrorBoundary<P extends object>(Inner: ComponentType<P>): (props: P) => ReactNode {
  return (props) => (
    <CourantErrorBoundary>
      <Inner {...props} />
    </CourantErrorBoundary>
  );
}
