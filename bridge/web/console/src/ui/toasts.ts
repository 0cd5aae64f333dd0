/** Short messages in the corner. Good news leaves by itself, bad news stays until it was seen. */
import { useSyncExternalStore } from 'react';

export interface Toast {
  readonly id: number;
  readonly tone: 'good' | 'bad' | 'plain';
  readonly title: string;
  readonly text?: string | undefined;
  readonly href?: string | undefined;
}

const most = 4;
const staysMs = 7_000;
const listeners = new Set<() => void>();
let toasts: readonly Toast[] = [];
let nextId = 1;

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

export function dismiss(id: number): void {
  set(toasts.filter((toast) => toast.id !== id));
}

export function toast(message: Omit<Toast, 'id'>): void {
  const id = nextId++;
  set([...toasts, { ...message, id }].slice(-most));
  if (message.tone !== 'bad') setTimeout(() => dismiss(id), staysMs);
}

export function useToasts(): readonly Toast[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
}
