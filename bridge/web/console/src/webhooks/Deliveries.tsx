import { type WebhookDelivery, webhookDeliveries } from '@courant/client/webhooks';
import { useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useEffect, useState } from 'react';
import { jobHref } from '../shell/route.ts';
import { formatDateTime } from '../ui/format.ts';

/** The last attempts to send, newest first. */
export function Deliveries({ webhookId, version }: { readonly webhookId: string; readonly version: number }) {
  const client = useCourant();
  const [list, setList] = useState<readonly WebhookDelivery[] | null>(null);
  const [error, setError] = useState('');
  useEffect(() => {
    let shown = true;
    webhookDeliveries(client, webhookId).then(
      (found) => shown && setList(found),
      (failure: unknown) => shown && setError(errorMessage(failure)),
    );
    return () => {
      shown = false;
    };
  }, [client, webhookId, version]);
  if (error !== '') return <p className="bad small">{error}</p>;
  if (list === null) return <p className="muted small">Loading…</p>;
  if (list.length === 0) return <p className="muted small">Nothing was sent yet.</p>;
  return (
    <ul className="webhook-deliveries" aria-label="Deliveries">
      {list.map((delivery) => (
        <Delivery key={`${delivery.messageId} ${delivery.sendTime}`} delivery={delivery} />
      ))}
    </ul>
  );
}

function Delivery({ delivery }: { readonly delivery: WebhookDelivery }) {
  const { attempt, error, givenUp, httpStatus, jobId, sendTime, type } = delivery;
  return (
    <li className="small" data-testid="webhook-delivery" data-received={error === null}>
      <time className="muted" dateTime={sendTime}>
        {formatDateTime(sendTime)}
      </time>{' '}
      <strong className={error === null ? '' : 'bad'}>{httpStatus ?? 'no answer'}</strong>{' '}
      {jobId === null ? type : <a href={jobHref(jobId)}>{type}</a>}
      {attempt > 1 && <span className="muted"> · attempt {attempt}</span>}
      {error !== null && <span className="muted"> · {error}</span>}
      {givenUp && <strong className="bad"> · given up</strong>}
    </li>
  );
}
