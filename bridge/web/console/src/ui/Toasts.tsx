import { CircleAlert, CircleCheck, Info, X } from 'lucide-react';
import { dismiss, useToasts } from './toasts.ts';

const icons = { good: CircleCheck, bad: CircleAlert, plain: Info };

export function Toasts() {
  const toasts = useToasts();
  return (
    <section className="toasts" aria-label="Messages">
      {toasts.map(({ id, tone, title, text, href }) => {
        const Icon = icons[tone];
        return (
          <div key={id} className="toast" data-tone={tone} data-testid="toast">
            <Icon aria-hidden="true" />
            <div className="toast-words">
              <strong>{title}</strong>
              {text && <span>{text}</span>}
              {href && (
                <a href={href} onClick={() => dismiss(id)}>
                  Open
                </a>
              )}
            </div>
            <button
              type="button"
              className="button icon small"
              aria-label="Dismiss"
              onClick={() => dismiss(id)}
            >
              <X aria-hidden="true" />
            </button>
          </div>
        );
      })}
    </section>
  );
}
