import { createContext, useContext, useSyncExternalStore } from 'react';
import type { Upload, Uploads } from './uploads.ts';

const Context = createContext<Uploads | null>(null);
export const UploadsProvider = Context.Provider;

export function useUploads(): { readonly uploads: Uploads; readonly list: readonly Upload[] } {
  const uploads = useContext(Context);
  if (uploads === null) throw new Error('useUploads needs an <UploadsProvider> above it');
  return { uploads, list: useSyncExternalStore(uploads.subscribe, uploads.list) };
}
