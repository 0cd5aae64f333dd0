import { type Notification, useNotifications } from '@courant/react';
import { NotificationItems as Items } from '@courant/react/components';
import { errorMessage } from '@courant/react/format';
import { CircleAlert, CircleCheck, Info, TriangleAlert } from 'lucide-react';
import { jobHref } from '../shell/route.ts';
import { formatAgo, formatDateTime } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { useNow } from '../ui/useNow.ts';

const icons = { success: CircleCheck, error: CircleAlert, warning: TriangleAlert, info: Info };

/** A notification that could not be marked stays unread; a toast says why. */
export function reportMarkReadFailure(error: unknown): void {
  toast({ tone: 'bad', title: 'That could not be marked as read', text: errorMessage(error) });
}

interface Props {
  readonly list: readonly Notification[];
  readonly onOpen?: () => void;
}

export function NotificationItems({ list, onOpen }: Props) {
  const { markRead } = useNotifications();
  return (
    <Items
      list={list}
      hrefOf={jobHref}
      onOpen={onOpen}
      onRead={(id) => void markRead(id).catch(reportMarkReadFailure)}
      icon={({ severity }) => <Icon severity={severity} />}
      time={({ createTime }) => <Ago time={createTime} />}
      mark={null}
      slotProps={{
        list: { className: 'notifications' },
        item: { className: 'notification', 'data-testid': 'notification' },
        words: { className: 'notification-words' },
        body: { className: 'muted small' },
        mark: { className: 'unread', title: 'Mark as read' },
      }}
    />
  );
}

function Icon({ severity }: Pick<Notification, 'severity'>) {
  const Severity = icons[severity];
  return <Severity aria-hidden="true" />;
}

function Ago({ time }: { readonly time: string }) {
  const now = useNow();
  return (
    <time className="muted small" dateTime={time} title={formatDateTime(time)}>
      {formatAgo(time, now)}
    </time>
  );
}
