/** The client for all hooks below a provider. */
import type { CourantClient } from '@courant/client';
import { createContext, createElement, type ReactNode, useContext } from 'react';

const Context = createContext<CourantClient | null>(null);

/** Makes a client known to the hooks. Connecting and closing it stay with whoever made it. */
export function CourantProvider(props: {
  readonly client: CourantClient;
  readonly children: ReactNode;
}): ReactNode {
  return createElement(Context.Provider, { value: props.client }, props.children);
}

export function useCourant(): CourantClient {
  const client = useContext(Context);
  if (client === null) throw new Error('useCourant needs a <CourantProvider> above it');
  return client;
}
