import { type Notification, useNotifications } from '@courant/react';
import { CircleAlert, CircleCheck, Info, TriangleAlert } from 'lucide-react';
import { jobHref } from '../shell/route.ts';
import { ago, dateTime, failure, sentenceCase } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { useNow } from '../ui/useNow.ts';

const icons = { success: CircleCheck, error: CircleAlert, warning: TriangleAlert, info: Info };
const tones = { success: 'good', error: 'bad', warning: 'warn', info: 'plain' };

/** A notification that could not be marked stays unread, and one is told why. */
export function tell(error: unknown): void {
  toast({ tone: 'bad', title: 'That could not be marked as read', text: failure(error) });
}

interface Props {
  readonly list: readonly Notification[];
  readonly onOpen?: () => void;
}

export function NotificationList({ list, onOpen }: Props) {
  const { read } = useNotifications();
  const now = useNow();
  return (
    <ul className="notifications">
      {list.map(({ id, title, body, severity, jobId, createTime, readTime }) => {
        const Icon = icons[severity];
        const open = () => {
          void read(id).catch(tell);
          onOpen?.();
        };
        return (
          <li
            key={id}
            className="notification"
            data-tone={tones[severity]}
            data-read={readTime !== null}
            data-testid="notification"
          >
            <Icon aria-hidden="true" />
            <div className="notification-words">
              {jobId === null ? (
                <strong>{title}</strong>
              ) : (
                <a href={jobHref(jobId)} onClick={open}>
                  {title}
                </a>
              )}
              {body !== '' && <span className="muted small">{sentenceCase(body)}</span>}
              <time className="muted small" dateTime={createTime} title={dateTime(createTime)}>
                {ago(createTime, now)}
              </time>
            </div>
            {readTime === null && (
              <button
                type="button"
                className="unread"
                onClick={() => void read(id).catch(tell)}
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
