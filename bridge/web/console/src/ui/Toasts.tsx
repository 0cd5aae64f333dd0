import { Toast as Base } from '@base-ui/react/toast';
import { CircleAlert, CircleCheck, Info, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { type ToastData, toastManager } from './toasts.ts';

const icons: Record<string, typeof Info> = { good: CircleCheck, bad: CircleAlert, plain: Info };

/** On a phone two messages leave space for the page. */
const atMost = matchMedia('(max-width: 640px)').matches ? 2 : 4;

/** The corner in which messages appear; F6 leads there. */
export function Toasts({ children }: { readonly children: ReactNode }) {
  return (
    <Base.Provider toastManager={toastManager} limit={atMost}>
      {children}
      <Base.Portal>
        <Base.Viewport className="toasts" aria-label="Messages">
          <List />
        </Base.Viewport>
      </Base.Portal>
    </Base.Provider>
  );
}

function List() {
  const { toasts, close } = Base.useToastManager<ToastData>();
  return toasts.map((toast) => {
    const Icon = icons[toast.type ?? 'plain'] ?? Info;
    return (
      <Base.Root
        key={toast.id}
        toast={toast}
        className="toast"
        data-tone={toast.type}
        data-testid="toast"
        swipeDirection={['right', 'down']}
      >
        <Base.Content className="toast-in">
          <Icon aria-hidden="true" />
          <div className="toast-words">
            <Base.Title render={<strong />} />
            {toast.description !== '' && <Base.Description render={<span />} />}
            {toast.data?.href && (
              <a href={toast.data.href} onClick={() => close(toast.id)}>
                Open
              </a>
            )}
          </div>
          {toast.actionProps && <Base.Action className="button small" data-testid="toast-action" />}
          <Base.Close className="button icon small" aria-label="Dismiss">
            <X aria-hidden="true" />
          </Base.Close>
        </Base.Content>
      </Base.Root>
    );
  });
}
