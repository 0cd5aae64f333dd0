import { CircleAlert, CircleCheck, Info } from 'lucide-react';
import { ago, dateTime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';
import { type Notice, notices } from './notices.ts';

const icons = { good: CircleCheck, bad: CircleAlert, plain: Info };

export function NoticeList({
  list,
  onOpen,
}: {
  readonly list: readonly Notice[];
  readonly onOpen?: () => void;
}) {
  const now = useNow();
  return (
    <ul className="notices">
      {list.map(({ id, tone, title, text, time, href, read }) => {
        const Icon = icons[tone];
        const open = () => {
          notices.read(id);
          onOpen?.();
        };
        return (
          <li key={id} className="notice" data-tone={tone} data-read={read} data-testid="notice">
            <Icon aria-hidden="true" />
            <div className="notice-words">
              {href === null ? (
                <strong>{title}</strong>
              ) : (
                <a href={href} onClick={open}>
                  {title}
                </a>
              )}
              {text !== '' && <span className="muted small">{text}</span>}
              <time className="muted small" dateTime={time} title={dateTime(time)}>
                {ago(time, now)}
              </time>
            </div>
            {!read && (
              <button
                type="button"
                className="unread"
                onClick={() => notices.read(id)}
                aria-label={`Mark “${title}” as read`}
                title="Mark as read"
              />
            )}
          </li>
        );
      })}
    </ul>
  );
}
