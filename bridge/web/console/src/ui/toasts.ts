/** Short messages in the corner. They leave by themselves, bad news later: cards and history keep what they say. */
import { useSyncExternalStore } from 'react';

export interface Toast {
  readonly id: number;
  readonly tone: 'good' | 'bad' | 'plain';
  readonly title: string;
  readonly text?: string | undefined;
  readonly href?: string | undefined;
  /** Messages of one group that come together are told as one. */
  readonly group?: { readonly name: string; readonly several: (count: number) => string } | undefined;
}

interface Shown extends Toast {
  readonly count: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

const most = 4;
const staysMs = { good: 6_000, plain: 6_000, bad: 15_000 } as const;
const listeners = new Set<() => void>();
let toasts: readonly Shown[] = [];
let nextId = 1;

function set(next: readonly Shown[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

export function dismiss(id: number): void {
  set(toasts.filter((toast) => toast.id !== id));
}

export function toast(message: Omit<Toast, 'id'>): void {
  const { group, tone } = message;
  const before = group && toasts.find((other) => other.group?.name === group.name);
  if (before) clearTimeout(before.timer);
  const id = before?.id ?? nextId++;
  const count = (before?.count ?? 0) + 1;
  const timer = setTimeout(() => dismiss(id), staysMs[tone]);
  const next = { ...message, id, count, timer };
  const told = group && count > 1 ? { ...next, title: group.several(count), href: undefined } : next;
  set(before ? toasts.map((other) => (other === before ? told : other)) : [...toasts, told].slice(-most));
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
