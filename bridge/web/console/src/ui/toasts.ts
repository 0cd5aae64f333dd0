/** Short messages in the corner. They leave by themselves, failures later: cards and history keep what they say. */
import { Toast as Base } from '@base-ui/react/toast';

export interface ToastMessage {
  readonly tone: 'good' | 'bad' | 'plain';
  readonly title: string;
  readonly text?: string | undefined;
  readonly href?: string | undefined;
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
  /** Messages of one group that come together are shown as one. */
  readonly group?: { readonly name: string; readonly several: (count: number) => string } | undefined;
  readonly staysMs?: number | undefined;
}

export interface ToastData {
  readonly href?: string | undefined;
  readonly count: number;
}

export const toastManager = Base.createToastManager<ToastData>();
const staysMs = { good: 6_000, plain: 6_000, bad: 15_000 } as const;
/** The toast that is shown of each group, and how many messages it stands for. */
const groups = new Map<string, { readonly id: string; readonly count: number }>();

export function dismiss(id: string): void {
  toastManager.close(id);
}

export function toast(message: ToastMessage): string {
  const { action, group, href, text, title, tone } = message;
  const before = group && groups.get(group.name);
  const count = (before?.count ?? 0) + 1;
  const several = group !== undefined && count > 1;
  const options = {
    title: several ? group.several(count) : title,
    description: several ? '' : (text ?? ''),
    type: tone,
    timeout: message.staysMs ?? staysMs[tone],
    priority: tone === 'bad' ? ('high' as const) : ('low' as const),
    data: { href: several ? undefined : href, count },
    ...(action === undefined ? {} : { actionProps: { children: action.label, onClick: action.run } }),
    onClose: () => {
      if (group) groups.delete(group.name);
    },
  };
  const id = before?.id ?? toastManager.add(options);
  if (before) toastManager.update(before.id, options);
  if (group) groups.set(group.name, { id, count });
  return id;
}
