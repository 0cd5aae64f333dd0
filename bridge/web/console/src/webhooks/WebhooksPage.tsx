import { useState } from 'react';
import { useTitle } from '../ui/useTitle.ts';
import { NewWebhook } from './NewWebhook.tsx';
import { SecretOnce } from './SecretOnce.tsx';
import { useWebhooks } from './useWebhooks.ts';
import { WebhookRow } from './WebhookRow.tsx';

/** Where events of one's jobs are sent. */
export default function WebhooksPage() {
  useTitle('Webhooks');
  const { error, list, reload } = useWebhooks();
  const [secret, setSecret] = useState('');
  return (
    <div className="page page-narrow" data-testid="webhooks-page">
      <h1>Webhooks</h1>
      <section className="panel" aria-labelledby="new-webhook-title">
        <div className="panel-head">
          <h2 id="new-webhook-title">Send events of my jobs to a URL</h2>
        </div>
        <NewWebhook
          onMade={(made) => {
            setSecret(made);
            void reload();
          }}
        />
        {secret !== '' && <SecretOnce secret={secret} onDone={() => setSecret('')} />}
      </section>
      <section className="panel" aria-labelledby="webhooks-title">
        <div className="panel-head">
          <h2 id="webhooks-title">My webhooks</h2>
        </div>
        {error !== '' && (
          <p className="note bad" role="alert">
            {error}
          </p>
        )}
        {list === null && error === '' && <p className="empty muted">Loading…</p>}
        {list?.length === 0 && <p className="empty muted">You have no webhooks.</p>}
        {list !== null && list.length > 0 && (
          <ul className="webhooks">
            {list.map((webhook) => (
              <WebhookRow key={webhook.webhookId} webhook={webhook} onChange={reload} onSecret={setSecret} />
            ))}
          </ul>
        )}
      </section>
    </div>
  );
}
