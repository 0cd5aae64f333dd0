/** Webhooks of the signed-in user: `@courant/client/webhooks`. What they send is in `docs/webhooks.md`. */
import { checked } from './checked.ts';
import type { CourantClient } from './client.ts';
import * as readers from './readers.generated.ts';
import type { Webhook, WebhookAnswer, WebhookDelivery } from './wire.generated.ts';

export type { Webhook, WebhookAnswer, WebhookDelivery };

/** What can be sent of a job. */
export const webhookEvents = [
  'job.queued',
  'job.started',
  'job.retrying',
  'job.succeeded',
  'job.failed',
  'job.cancelled',
] as const;

/** Oldest first. */
export async function webhooks(client: CourantClient): Promise<readonly Webhook[]> {
  return checked(await client.request('GET', 'v1/webhooks'), readers.readWebhooksAnswer).webhooks;
}

/** Makes a webhook. The `secret` of the answer is shown this once. All events when none are named. */
export async function createWebhook(
  client: CourantClient,
  url: string,
  events: readonly string[] = [],
  description = '',
): Promise<WebhookAnswer> {
  return one(await client.request('POST', 'v1/webhooks', { url, events, description }));
}

export interface WebhookChange {
  readonly url?: string;
  readonly events?: readonly string[];
  readonly description?: string;
  readonly enabled?: boolean;
}

/** Changes a webhook. What is left out stays as it is. */
export async function updateWebhook(
  client: CourantClient,
  webhookId: string,
  change: WebhookChange,
): Promise<Webhook> {
  return one(await client.request('PATCH', pathOf(webhookId), change)).webhook;
}

export async function deleteWebhook(client: CourantClient, webhookId: string): Promise<void> {
  await client.request('DELETE', pathOf(webhookId));
}

/** Makes a new secret; the old one signs as well for a day. */
export async function rotateWebhookSecret(client: CourantClient, webhookId: string): Promise<WebhookAnswer> {
  return one(await client.request('POST', `${pathOf(webhookId)}:rotate`));
}

/** Sends a test event; the `error` of what comes back is `null` when it was received. */
export async function testWebhook(client: CourantClient, webhookId: string): Promise<WebhookDelivery> {
  const answer = await client.request('POST', `${pathOf(webhookId)}:test`);
  return checked(answer, readers.readWebhookTestAnswer).delivery;
}

/** Sends again what happened after a cursor; everything that is kept without one. */
export async function replayWebhook(
  client: CourantClient,
  webhookId: string,
  after = '',
): Promise<WebhookAnswer> {
  return one(await client.request('POST', `${pathOf(webhookId)}:replay`, { after }));
}

/** The last attempts to send, newest first. */
export async function webhookDeliveries(
  client: CourantClient,
  webhookId: string,
): Promise<readonly WebhookDelivery[]> {
  const answer = await client.request('GET', `${pathOf(webhookId)}/deliveries`);
  return checked(answer, readers.readWebhookDeliveriesAnswer).deliveries;
}

const pathOf = (webhookId: string): string => `v1/webhooks/${encodeURIComponent(webhookId)}`;
const one = (answer: unknown): WebhookAnswer => checked(answer, readers.readWebhookAnswer);
