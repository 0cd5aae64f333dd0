import { createWebhook, webhookEvents } from '@courant/client/webhooks';
import { useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { type FormEvent, useId, useState } from 'react';

interface Props {
  /** It was made, with this secret. */
  readonly onMade: (secret: string) => void;
}

/** A URL and what is sent to it. */
export function NewWebhook({ onMade }: Props) {
  const client = useCourant();
  const id = useId();
  const [url, setUrl] = useState('');
  const [events, setEvents] = useState<readonly string[]>(webhookEvents);
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);

  const create = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const { secret } = await createWebhook(client, url.trim(), events);
      setUrl('');
      setError('');
      onMade(secret ?? '');
    } catch (failure) {
      setError(errorMessage(failure));
    }
    setBusy(false);
  };
  const toggle = (event: string) =>
    setEvents(webhookEvents.filter((one) => events.includes(one) !== (one === event)));

  return (
    <form className="webhook-new" onSubmit={(event) => void create(event)} data-testid="new-webhook">
      <label htmlFor={id}>URL</label>
      <input
        id={id}
        type="url"
        required
        placeholder="https://hooks.example.org/courant"
        value={url}
        onChange={({ target }) => setUrl(target.value)}
        aria-invalid={error !== ''}
        aria-describedby={error === '' ? undefined : `${id}-error`}
        data-testid="webhook-url"
      />
      <fieldset className="chips" aria-label="Events to send">
        {webhookEvents.map((event) => (
          <button
            key={event}
            type="button"
            className="chip-button"
            aria-pressed={events.includes(event)}
            onClick={() => toggle(event)}
          >
            {event}
          </button>
        ))}
      </fieldset>
      {error !== '' && (
        <p className="bad small" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
      <button
        type="submit"
        className="button primary"
        disabled={busy || events.length === 0}
        data-testid="create-webhook"
      >
        Add webhook
      </button>
    </form>
  );
}
