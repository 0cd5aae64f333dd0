import { useState } from 'react';
import { useNotifications } from '../notifications.ts';
import { guarded } from './boundary.tsx';

export interface NotificationListProps {
  /** Where a notification of a job leads to. */
  readonly hrefOf?: (jobId: string) => string;
}

function List({ hrefOf }: NotificationListProps) {
  const { hasOlder, list, unread, read } = useNotifications();
  const [error, setError] = useState<string | null>(null);
  const mark = (id?: string) => {
    read(id).then(
      () => setError(null),
      (reason: Error) => setError(reason.message),
    );
  };
  return (
    <section data-courant="notifications" aria-label="Notifications">
      <p role="status">{unread} unread</p>
      {error !== null && <p role="alert">{error}</p>}
      <button type="button" disabled={unread === 0} onClick={() => mark()}>
        Mark all read
      </button>
      <ul>
        {list.map(({ id, jobId, title, body, severity, readTime }) => (
          <li key={id} data-read={readTime !== null} data-severity={severity}>
            {hrefOf && jobId !== null ? (
              <a href={hrefOf(jobId)} onClick={() => mark(id)}>
                {title}
              </a>
            ) : (
              <span>{title}</span>
            )}{' '}
            <span>{body}</span>
            {readTime === null && (
              <button type="button" aria-label={`Mark “${title}” as read`} onClick={() => mark(id)}>
                Read
              </button>
            )}
          </li>
        ))}
      </ul>
      {hasOlder && <p>Only the newest {list.length} notifications are shown.</p>}
    </section>
  );
}

/** Notifications of the signed-in user, with a way to mark them as read. */
export const NotificationList = guarded(List);
