/** Events of the browser about the network and the tab. None where there is no browser. */

export interface NetworkHandlers {
  /** The network came back, or the page did (from the back-forward cache). */
  readonly onOnline: () => void;
  readonly onOffline: () => void;
  /** The tab shows again. */
  readonly onVisible: () => void;
}

/** False only when the browser is sure that there is no network. */
export function online(): boolean {
  return globalThis.navigator?.onLine !== false;
}

/** Listens until the returned function is called. */
export function watchNetwork(handlers: NetworkHandlers): () => void {
  if (typeof addEventListener !== 'function') return () => undefined;
  const visible = (): void => {
    if (globalThis.document?.visibilityState !== 'hidden') handlers.onVisible();
  };
  const shown = (event: Event): void => {
    if ('persisted' in event && event.persisted === true) handlers.onOnline();
  };
  addEventListener('online', handlers.onOnline);
  addEventListener('offline', handlers.onOffline);
  addEventListener('pageshow', shown);
  globalThis.document?.addEventListener('visibilitychange', visible);
  return () => {
    removeEventListener('online', handlers.onOnline);
    removeEventListener('offline', handlers.onOffline);
    removeEventListener('pageshow', shown);
    globalThis.document?.removeEventListener('visibilitychange', visible);
  };
}
