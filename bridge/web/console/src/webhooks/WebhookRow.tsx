import {
  deleteWebhook,
  replayWebhook,
  rotateWebhookSecret,
  testWebhook,
  updateWebhook,
  type Webhook,
} from '@courant/client/webhooks';
import { useCourant } from '@courant/react';
import { formatCount } from '@courant/react/format';
import { useState } from 'react';
import { Confirm } from '../ui/Confirm.tsx';
import { formatDateTime } from '../ui/format.ts';
import { toast } from '../ui/toasts.ts';
import { Deliveries } from './Deliveries.tsx';
import { useAction } from './useWebhooks.ts';

interface Props {
  readonly webhook: Webhook;
  readonly onChange: () => Promise<void>;
  readonly onSecret: (secret: string) => void;
}

const words: Readonly<Record<string, string>> = {
  enabled: 'Enabled',
  disabled: 'Disabled',
  'switched-off': 'Switched off',
};

/** A webhook and what can be done to it. */
export function WebhookRow({ webhook, onChange, onSecret }: Props) {
  const { events, eventsDelivered, jobsWaiting, state, url, webhookId } = webhook;
  const [version, setVersion] = useState(0);
  const isCallback = url === '';
  const facts = [
    `${eventsDelivered.toLocaleString('en')} received`,
    jobsWaiting > 0 ? `${formatCount(jobsWaiting, 'job')} waiting` : null,
    webhook.failingSince === null ? null : `failing since ${formatDateTime(webhook.failingSince)}`,
  ];
  return (
    <li className="webhook" data-testid="webhook" data-state={state} data-webhook-id={webhookId}>
      <p className="webhook-name">
        <strong className="clip" title={webhookId}>
          {isCallback ? 'Callbacks of jobs' : url}
        </strong>
        <span className={state === 'switched-off' ? 'bad small' : 'muted small'}>
          {words[state] ?? state}
        </span>
      </p>
      {state === 'switched-off' && (
        <p className="note bad" role="alert">
          Nothing is sent: {webhook.disableReason}. Nothing is lost; enable it once the receiver works.
        </p>
      )}
      <p className="muted small">{events.join(', ')}</p>
      <p className="muted small">{facts.filter(Boolean).join(' · ')}</p>
      <Actions
        webhook={webhook}
        onChange={async () => {
          await onChange();
          setVersion((before) => before + 1);
        }}
        onSecret={onSecret}
      />
      <details>
        <summary className="small">Deliveries</summary>
        <Deliveries webhookId={webhookId} version={version} />
      </details>
    </li>
  );
}

function Actions({ webhook, onChange, onSecret }: Props) {
  const { state, url, webhookId } = webhook;
  const client = useCourant();
  const { act, busy } = useAction();
  const [asking, setAsking] = useState<'delete' | 'replay' | null>(null);
  const test = () =>
    act('The test could not be sent', async () => {
      const { error, httpStatus } = await testWebhook(client, webhookId);
      const tone = error === null ? 'good' : 'bad';
      toast({
        tone,
        title: error === null ? 'Received' : 'Not received',
        text: error ?? `HTTP ${httpStatus}`,
      });
    });
  const rotate = () =>
    act('The secret could not be rotated', async () => {
      onSecret((await rotateWebhookSecret(client, webhookId)).secret ?? '');
      await onChange();
    });
  const enable = () =>
    act('The webhook could not be changed', async () => {
      await updateWebhook(client, webhookId, { enabled: state !== 'enabled' });
      await onChange();
    });
  const answered = (yes: boolean) => {
    const asked = asking;
    setAsking(null);
    if (!yes) return;
    void act('That could not be done', async () => {
      if (asked === 'delete') await deleteWebhook(client, webhookId);
      else await replayWebhook(client, webhookId);
      await onChange();
    });
  };
  const button = (label: string, onClick: () => void, testId: string) => (
    <button type="button" className="button small" disabled={busy} onClick={onClick} data-testid={testId}>
      {label}
    </button>
  );
  return (
    <div className="row webhook-actions">
      {url !== '' && button('Send test', () => void test(), 'webhook-test')}
      {button('Rotate secret', () => void rotate(), 'webhook-rotate')}
      {button(state === 'enabled' ? 'Disable' : 'Enable', () => void enable(), 'webhook-enable')}
      {button('Replay', () => setAsking('replay'), 'webhook-replay')}
      {url !== '' && button('Delete', () => setAsking('delete'), 'webhook-delete')}
      <Confirm
        open={asking !== null}
        title={asking === 'delete' ? 'Delete this webhook?' : 'Send everything again?'}
        verb={asking === 'delete' ? 'Delete webhook' : 'Replay'}
        keep="Cancel"
        danger={asking === 'delete'}
        onAnswer={answered}
      >
        {asking === 'delete'
          ? 'What was not sent to it yet is not sent any more.'
          : 'All events of your jobs that are kept are sent again, under the same ids.'}
      </Confirm>
    </div>
  );
}
