import { Popover } from '@base-ui/react/popover';
import { useNotifications } from '@courant/react';
import { Bell as BellIcon } from 'lucide-react';
import { useState } from 'react';
import { notificationsPage } from '../shell/route.ts';
import { NotificationItems, reportMarkReadFailure } from './NotificationItems.tsx';

const atMost = 8;

/** The newest notifications, and how many are unread. */
export function Bell() {
  const { list, unread, markRead } = useNotifications();
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger
        className="button icon bell"
        aria-label={unread === 0 ? 'Notifications' : `Notifications, ${unread} unread`}
        data-testid="bell"
        data-unread={unread}
      >
        <BellIcon aria-hidden="true" />
        {unread > 0 && (
          <span className="bell-count" aria-hidden="true">
            {unread > 99 ? '99+' : unread}
          </span>
        )}
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner sideOffset={8} align="end" className="positioner">
          <Popover.Popup className="popover popover-notifications" data-testid="notification-popover">
            <div className="popover-head">
              <Popover.Title className="popover-title">Notifications</Popover.Title>
              <button
                type="button"
                className="button small"
                disabled={unread === 0}
                onClick={() => void markRead().catch(reportMarkReadFailure)}
                data-testid="read-all"
              >
                Mark all read
              </button>
            </div>
            {list.length === 0 ? (
              <p className="muted small popover-empty">Finished and failed jobs appear here.</p>
            ) : (
              <NotificationItems list={list.slice(0, atMost)} onOpen={close} />
            )}
            <a href={notificationsPage} className="popover-foot" onClick={close}>
              All notifications
            </a>
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
