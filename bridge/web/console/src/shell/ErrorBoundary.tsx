import { Component, type ReactNode } from 'react';

interface Props {
  readonly children: ReactNode;
  /** What is broken, for a boundary around a part of the page. */
  readonly part?: string;
}

interface State {
  readonly error: Error | null;
}

/** Keeps one broken part from taking the page with it, and says so. */
export class ErrorBoundary extends Component<Props, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div className="broken" role="alert">
        <strong>
          {this.props.part ? `${this.props.part} cannot be shown.` : 'Something went wrong on this page.'}
        </strong>
        <p>Your jobs are not affected: they run on the server.</p>
        <p className="mono">{error.message}</p>
        <div className="row">
          <button type="button" className="button" onClick={() => this.setState({ error: null })}>
            Try again
          </button>
          <button type="button" className="button" onClick={() => location.reload()}>
            Reload the page
          </button>
        </div>
      </div>
    );
  }
}
