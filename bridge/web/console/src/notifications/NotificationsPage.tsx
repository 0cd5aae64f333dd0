import { useCourant, useNotifications } from '@courant/react';
import { formatCount } from '@courant/react/format';
import { BellRing, CheckCheck } from 'lucide-react';
import { useState } from 'react';
import { useTitle } from '../ui/useTitle.ts';
import { type DesktopNotifications, setDesktopNotifications, useDesktopNotifications } from './desktop.ts';
import { NotificationItems, reportMarkReadFailure } from './NotificationItems.tsx';

/** All that happened, read and unread. */
export default function NotificationsPage() {
  useTitle('Notifications');
  const { hasOlder, list, markRead } = useNotifications();
  const [unreadOnly, setUnreadOnly] = useState(false);
  const unread = list.filter(({ readTime }) => readTime === null);
  const shown = unreadOnly ? unread : list;
  return (
    <div className="page page-narrow" data-testid="notifications-page">
      <h1>Notifications</h1>
      <Desktop />
      <section className="panel" aria-label="Notifications">
        <div className="panel-head">
          <fieldset className="chips" aria-label="Show">
            <button
              type="button"
              className="chip-button"
              aria-pressed={!unreadOnly}
              onClick={() => setUnreadOnly(false)}
            >
              All
            </button>
            <button
              type="button"
              className="chip-button"
              aria-pressed={unreadOnly}
              onClick={() => setUnreadOnly(true)}
            >
              {formatCount(unread.length, 'unread', 'unread')}
            </button>
          </fieldset>
          <div className="row">
            <button
              type="button"
              className="button small"
              disabled={unread.length === 0}
              onClick={() => void markRead().catch(reportMarkReadFailure)}
            >
              <CheckCheck aria-hidden="true" />
              Mark all read
            </button>
          </div>
        </div>
        {shown.length === 0 ? (
          <p className="empty muted">
            {unreadOnly ? 'You have read everything.' : 'Finished and failed jobs appear here.'}
          </p>
        ) : (
          <NotificationItems list={shown} />
        )}
        {hasOlder && (
          <p className="empty muted small" data-testid="notifications-cut">
            Only the newest {list.length} notifications are shown.
          </p>
        )}
      </section>
    </div>
  );
}

const words: Record<DesktopNotifications, string> = {
  missing: 'This browser cannot show notifications outside the page.',
  denied: 'This browser blocks notifications of this page. Its settings can change that.',
  off: 'Notify me when a job finishes.',
  on: 'You are notified when a job finishes while this page is in the background.',
  pushed: 'You are notified when a job finishes, also while no page of Courant is open.',
};

function Desktop() {
  const client = useCourant();
  const state = useDesktopNotifications();
  const on = state === 'on' || state === 'pushed';
  return (
    <div className="panel desktop" data-testid="desktop-notifications" data-state={state}>
      <BellRing aria-hidden="true" />
      <div className="grow">
        <h2>On this device</h2>
        <p className="muted small">{words[state]}</p>
      </div>
      {(on || state === 'off') && (
        <button
          type="button"
          role="switch"
          className="switch"
          aria-checked={on}
          aria-label="Notifications outside the page"
          onClick={() => void setDesktopNotifications(client, !on)}
          data-testid="desktop-switch"
        />
      )}
    </div>
  );
}
