import { type Webhook, webhooks } from '@courant/client/webhooks';
import { useConnection, useCourant } from '@courant/react';
import { errorMessage } from '@courant/react/format';
import { useCallback, useEffect, useState } from 'react';
import { toast } from '../ui/toasts.ts';

export interface Webhooks {
  /** `null` until they are there. */
  readonly list: readonly Webhook[] | null;
  readonly error: string;
  readonly reload: () => Promise<void>;
}

/** One's webhooks. Nothing pushes them: they are read when the page opens, and after each change. */
export function useWebhooks(): Webhooks {
  const client = useCourant();
  const connected = useConnection().status === 'connected';
  const [list, setList] = useState<readonly Webhook[] | null>(null);
  const [error, setError] = useState('');
  const reload = useCallback(async () => {
    try {
      setList(await webhooks(client));
      setError('');
    } catch (failure) {
      setError(errorMessage(failure));
    }
  }, [client]);
  useEffect(() => {
    if (connected) void reload();
  }, [connected, reload]);
  return { list, error, reload };
}

/** Does one thing at a time, and says why it failed. */
export function useAction(): {
  readonly busy: boolean;
  readonly act: (title: string, action: () => Promise<void>) => Promise<void>;
} {
  const [busy, setBusy] = useState(false);
  const act = async (title: string, action: () => Promise<void>) => {
    setBusy(true);
    try {
      await action();
    } catch (failure) {
      toast({ tone: 'bad', title, text: errorMessage(failure) });
    }
    setBusy(false);
  };
  return { busy, act };
}
