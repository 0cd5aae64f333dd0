/** Short messages in the corner. They leave by themselves, bad news later: cards and history keep what they say. */
import { useSyncExternalStore } from 'react';

export interface Toast {
  readonly id: number;
  readonly tone: 'good' | 'bad' | 'plain';
  readonly title: string;
  readonly text?: string | undefined;
  readonly href?: string | undefined;
}

const most = 4;
const staysMs = { good: 6_000, plain: 6_000, bad: 15_000 } as const;
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
  setTimeout(() => dismiss(id), staysMs[message.tone]);
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
