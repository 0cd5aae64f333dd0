import { useNotifications } from '../notifications.ts';
import { guarded } from './boundary.tsx';

export interface NotificationListProps {
  /** Where a notice leads to. */
  readonly hrefOf?: (jobId: string) => string;
}

function List({ hrefOf }: NotificationListProps) {
  const { list, unread, read, clear } = useNotifications();
  return (
    <section data-courant="notifications" aria-label="Notifications">
      <p role="status">{unread} unread</p>
      <button type="button" disabled={unread === 0} onClick={() => read()}>
        Mark all read
      </button>
      <button type="button" disabled={list.length === 0} onClick={clear}>
        Clear
      </button>
      <ul>
        {list.map((notice) => {
          const title = `${notice.filename} ${notice.type === 'job-completed' ? 'is done' : 'failed'}`;
          return (
            <li key={notice.id} data-read={notice.read} data-type={notice.type}>
              {hrefOf ? (
                <a href={hrefOf(notice.jobId)} onClick={() => read(notice.id)}>
                  {title}
                </a>
              ) : (
                <span>{title}</span>
              )}{' '}
              <span>{notice.text}</span>
              {!notice.read && (
                <button type="button" aria-label={`Mark “${title}” as read`} onClick={() => read(notice.id)}>
                  Read
                </button>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** Jobs that are done or failed, with what is read. */
export const NotificationList = guarded(List);
