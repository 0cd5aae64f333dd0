import type { ReactNode } from 'react';
import { useState } from 'react';
import { errorMessage, sentenceCase } from '../format.ts';
import type { Notification } from '../notification-store.ts';
import { useNotifications } from '../notifications.ts';
import { withErrorBoundary } from './boundary.tsx';
import type { Slot } from './slots.ts';

export interface NotificationItemsProps {
  readonly list: readonly Notification[];
  /** Where a notification of a job leads to. */
  readonly hrefOf?: (jobId: string) => string;
  /** Marks one as read: its button was pressed, or its link followed. */
  readonly onRead: (id: string) => void;
  /** A link was followed. */
  readonly onOpen?: (() => void) | undefined;
  /** Before the title. */
  readonly icon?: (notification: Notification) => ReactNode;
  /** After the body, for example when it came. */
  readonly time?: (notification: Notification) => ReactNode;
  /** In the button that marks one as read. Default `Read`. */
  readonly mark?: ReactNode;
  readonly slotProps?: {
    readonly list?: Slot<'ul'>;
    readonly item?: Slot<'li'>;
    readonly words?: Slot<'div'>;
    readonly body?: Slot<'span'>;
    readonly mark?: Slot<'button'>;
  };
}

/** Notifications one below the other, each with a way to mark it as read. Those given, so that a page may choose. */
export function NotificationItems({ list, slotProps = {}, ...rest }: NotificationItemsProps) {
  return (
    <ul data-courant="notification-items" {...slotProps.list}>
      {list.map((notification) => (
        <Item key={notification.id} notification={notification} slotProps={slotProps} {...rest} />
      ))}
    </ul>
  );
}

type ItemProps = Omit<NotificationItemsProps, 'list' | 'slotProps'> & {
  readonly notification: Notification;
  readonly slotProps: NonNullable<NotificationItemsProps['slotProps']>;
};

function Item({ notification, hrefOf, onRead, onOpen, icon, time, mark = 'Read', slotProps }: ItemProps) {
  const { id, jobId, title, body, severity, readTime } = notification;
  const open = () => {
    onRead(id);
    onOpen?.();
  };
  return (
    <li data-read={readTime !== null} data-severity={severity} {...slotProps.item}>
      {icon?.(notification)}
      <div data-courant="notification-words" {...slotProps.words}>
        {hrefOf && jobId !== null ? (
          <a href={hrefOf(jobId)} onClick={open}>
            {title}
          </a>
        ) : (
          <strong>{title}</strong>
        )}{' '}
        {body !== '' && <span {...slotProps.body}>{sentenceCase(body)}</span>}
        {time?.(notification)}
      </div>
      {readTime === null && (
        <button
          type="button"
          aria-label={`Mark “${title}” as read`}
          {...slotProps.mark}
          onClick={() => onRead(id)}
        >
          {mark}
        </button>
      )}
    </li>
  );
}

export interface NotificationListProps {
  /** Where a notification of a job leads to. */
  readonly hrefOf?: (jobId: string) => string;
}

function List({ hrefOf }: NotificationListProps) {
  const { hasOlder, list, unread, markRead } = useNotifications();
  const [error, setError] = useState<string | null>(null);
  const mark = (id?: string) => {
    markRead(id).then(
      () => setError(null),
      (reason: unknown) => setError(errorMessage(reason)),
    );
  };
  return (
    <section data-courant="notifications" aria-label="Notifications">
      <p role="status">{unread} unread</p>
      {error !== null && <p role="alert">{error}</p>}
      <button type="button" disabled={unread === 0} onClick={() => mark()}>
        Mark all read
      </button>
      <NotificationItems list={list} onRead={mark} {...(hrefOf && { hrefOf })} />
      {hasOlder && <p>Only the newest {list.length} notifications are shown.</p>}
    </section>
  );
}

/** Notifications of the signed-in user, with a way to mark them as read. */
export const NotificationList = withErrorBoundary(List);
