// biome-ignore-all format: generated
// biome-ignore-all lint: generated
// biome-ignore-all assist: generated

/** Readers of what the bridge sends: each checks the fields that it knows. Made by `npm run generate` from `bridge/schema/messages.schema.json`; not to be edited. */

import { flag, list, listOfKnown, nullable, number, object, optional, range, record, text, unread, word } from './read.ts';
import type * as wire from './wire.generated.ts';
import { modes, zoneKinds, zoneStatuses, lanes, resultFormats, exportStates, jobStates, jobStatuses, steps, transportNames, severities } from './wire.generated.ts';

export const readLimits = /* @__PURE__ */ object<wire.Limits>({
  maxMessageBytes: number,
  maxSubscriptions: number,
  messageBurst: nullable(number),
  messagesPerSecond: number,
  outboxBytes: number,
});

export const readConnected = /* @__PURE__ */ object<wire.Connected>({
  connectionId: text,
  deviceId: text,
  id: nullable(number),
  limits: readLimits,
  pingIntervalMs: number,
  pongTimeoutMs: number,
  roles: list(text),
  tokenExpiresAt: text,
  user: text,
  version: text,
});

export const readRefusal = /* @__PURE__ */ object<wire.Refusal>({
  code: text,
  id: nullable(number),
  message: text,
});

export const readSubscribed = /* @__PURE__ */ object<wire.Subscribed>({
  cursor: nullable(text),
  id: nullable(number),
  minIntervalMs: number,
  mode: word(modes),
  reason: nullable(text),
  topic: text,
});

export const readReply = /* @__PURE__ */ object<wire.Reply>({
  id: nullable(number),
});

export const readErrorReply = /* @__PURE__ */ object<wire.ErrorReply>({
  code: text,
  id: nullable(number),
  message: text,
  retryAfterMs: nullable(number),
  retryable: flag,
  topic: nullable(text),
});

export const readJobError = /* @__PURE__ */ object<wire.JobError>({
  code: text,
  message: text,
  retryable: flag,
});

export const readAttempt = /* @__PURE__ */ object<wire.Attempt>({
  endTime: nullable(text),
  error: nullable(readJobError),
  number: number,
  pagesDone: number,
  startTime: nullable(text),
});

export const readBoundingBox = /* @__PURE__ */ object<wire.BoundingBox>({
  x0: number,
  x1: number,
  y0: number,
  y1: number,
});

export const readZone = /* @__PURE__ */ object<wire.Zone>({
  boundingBox: readBoundingBox,
  confidence: number,
  durationMs: number,
  index: number,
  kind: word(zoneKinds, 'unknown'),
  note: nullable(text),
  page: number,
  status: word(zoneStatuses, 'processing'),
  tool: text,
  zoneId: text,
});

export const readOutput = /* @__PURE__ */ object<wire.Output>({
  attempt: number,
  mediaType: text,
  name: text,
  sha256: text,
  sizeBytes: number,
  url: text,
});

export const readExport = /* @__PURE__ */ object<wire.Export>({
  error: nullable(readJobError),
  format: word(resultFormats),
  progress: range(0, 100),
  sha256: nullable(text),
  sizeBytes: nullable(number),
  state: word(exportStates),
  url: nullable(text),
});

export const readJobResult = /* @__PURE__ */ object<wire.JobResult>({
  formats: listOfKnown(readExport),
});

export const readJob = /* @__PURE__ */ object<wire.Job>({
  attempt: number,
  attempts: list(readAttempt),
  batchId: nullable(text),
  createTime: text,
  currentZone: nullable(readZone),
  documentBytes: number,
  documentId: text,
  documentPages: nullable(number),
  documentSha256: text,
  elapsed: nullable(number),
  endTime: nullable(text),
  error: nullable(readJobError),
  estimatedTimeRemaining: nullable(number),
  estimatedWait: nullable(number),
  expireTime: nullable(text),
  filename: text,
  jobId: text,
  kind: text,
  labels: record(text),
  lane: word(lanes, 'normal'),
  maxAttempts: number,
  operation: text,
  outputs: optional(list(readOutput), []),
  owner: text,
  pagesDone: number,
  pagesTotal: nullable(number),
  parameters: nullable(record(unread)),
  parametersBytes: optional(number, 0),
  progress: range(0, 100),
  queuePosition: nullable(number),
  result: nullable(readJobResult),
  retryTime: nullable(text),
  revision: number,
  startTime: nullable(text),
  state: word(jobStates),
  status: word(jobStatuses),
  step: word(steps, 'extract'),
  timestamp: text,
  unitsDone: number,
  unitsTotal: number,
  warnings: list(text),
  zonesCompleted: number,
  zonesTotal: number,
});

export const readSnapshot = /* @__PURE__ */ object<wire.Snapshot>({
  job: readJob,
  topic: text,
});

export const readMark = /* @__PURE__ */ object<wire.Mark>({
  cursor: text,
  topic: text,
});

export const readGap = /* @__PURE__ */ object<wire.Gap>({
  reason: text,
  topic: text,
});

export const readEnded = /* @__PURE__ */ object<wire.Ended>({
  code: text,
  topic: text,
});

export const readDraining = /* @__PURE__ */ object<wire.Draining>({
  retryAfterMs: number,
});

export const readClosing = /* @__PURE__ */ object<wire.Closing>({
  code: number,
  message: text,
  reason: text,
  retryAfterMs: number,
});

export const readPage = /* @__PURE__ */ object<wire.Page>({
  durationMs: number,
  height: number,
  number: number,
  warnings: list(text),
  width: number,
  zoneCount: number,
});

export const readJobEvent = /* @__PURE__ */ object<Omit<wire.JobEvent, keyof wire.Job>>({
  cursor: nullable(text),
  export: nullable(readExport),
  output: nullable(readOutput),
  page: nullable(readPage),
  topic: text,
});

export const readJobUpdate = /* @__PURE__ */ object<wire.JobUpdate>({
  attempt: number,
  coalesced: nullable(number),
  currentZone: nullable(readZone),
  elapsed: nullable(number),
  estimatedTimeRemaining: nullable(number),
  estimatedWait: nullable(number),
  export: nullable(readExport),
  jobId: text,
  operation: text,
  progress: range(0, 100),
  queuePosition: nullable(number),
  revision: number,
  status: word(jobStatuses),
  step: word(steps, 'extract'),
  timestamp: text,
  topic: text,
  unitsDone: number,
  unitsTotal: number,
  zonesCompleted: number,
  zonesTotal: number,
});

export const readZoneEvent = /* @__PURE__ */ object<wire.ZoneEvent>({
  batchId: nullable(text),
  documentId: text,
  jobId: text,
  progress: range(0, 100),
  revision: number,
  status: word(jobStatuses),
  step: word(steps, 'extract'),
  timestamp: nullable(text),
  topic: text,
  zone: readZone,
  zonesCompleted: number,
  zonesTotal: number,
});

export const readDeleted = /* @__PURE__ */ object<wire.Deleted>({
  batchId: nullable(text),
  cursor: nullable(text),
  documentId: text,
  jobId: text,
  owner: text,
  revision: number,
  timestamp: nullable(text),
  topic: text,
});

export const readBand = /* @__PURE__ */ object<wire.Band>({
  high: number,
  low: number,
});

export const readQueueLane = /* @__PURE__ */ object<wire.QueueLane>({
  active: number,
  averageWait: nullable(number),
  delayed: number,
  estimatedWait: nullable(number),
  estimatedWaitBand: nullable(readBand),
  kind: text,
  lane: text,
  oldestWait: nullable(number),
  pagesWaiting: number,
  share: number,
  waiting: number,
});

export const readQueue = /* @__PURE__ */ object<wire.Queue>({
  lanes: list(readQueueLane),
  slotsTotal: number,
  slotsUsed: number,
  unservedKinds: list(text),
  workersActive: number,
  workersTotal: number,
});

export const readQueueStatus = /* @__PURE__ */ object<wire.QueueStatus>({
  cursor: text,
  queue: readQueue,
  topic: text,
});

export const readStatistics = /* @__PURE__ */ object<wire.Statistics>({
  averageDuration: nullable(number),
  cpuPercent: number,
  errorRate: number,
  jobs: record(number),
  jobsCancelled: number,
  jobsFailed: number,
  jobsSucceeded: number,
  loadAverage: list(number),
  logRevision: number,
  memoryBytes: number,
  pagesPerHour: number,
  sampleTime: nullable(text),
  slotsTotal: number,
  slotsUsed: number,
  startTime: nullable(text),
  throughputPerHour: number,
  version: text,
  watchers: number,
  workersActive: number,
  workersTotal: number,
});

export const readSystemMetrics = /* @__PURE__ */ object<wire.SystemMetrics>({
  cursor: nullable(text),
  id: nullable(number),
  metrics: readStatistics,
  topic: nullable(text),
});

export const readWorkerJob = /* @__PURE__ */ object<wire.WorkerJob>({
  attempt: number,
  jobId: text,
  progress: number,
  startTime: nullable(text),
});

export const readWorker = /* @__PURE__ */ object<wire.Worker>({
  connected: flag,
  draining: flag,
  jobs: list(readWorkerJob),
  kinds: list(text),
  lastSeenTime: nullable(text),
  pageDurationMs: nullable(number),
  pagesDone: number,
  slots: number,
  software: text,
  workerId: text,
});

export const readWorkers = /* @__PURE__ */ object<wire.Workers>({
  cursor: text,
  topic: text,
  workers: list(readWorker),
});

export const readBridgeConnections = /* @__PURE__ */ object<wire.BridgeConnections>({
  bridge: text,
  connectTime: nullable(text),
  connections: number,
  software: text,
  topics: number,
  users: number,
});

export const readCount = /* @__PURE__ */ object<wire.Count>({
  connections: number,
  name: text,
});

export const readAllBridges = /* @__PURE__ */ object<wire.AllBridges>({
  bridges: list(readBridgeConnections),
  byKind: record(number),
  devices: number,
  topics: list(readCount),
  total: number,
  users: number,
});

export const readConnections = /* @__PURE__ */ object<wire.Connections>({
  allBridges: nullable(readAllBridges),
  bridge: text,
  byKind: record(number),
  byUser: list(readCount),
  topics: list(readCount),
  topicsTotal: number,
  total: number,
  users: number,
});

export const readConnectionsStatus = /* @__PURE__ */ object<wire.ConnectionsStatus>({
  connections: readConnections,
  cursor: text,
  topic: text,
});

export const readAuditEntry = /* @__PURE__ */ object<wire.AuditEntry>({
  action: text,
  address: nullable(text),
  code: nullable(text),
  count: nullable(number),
  number: number,
  target: nullable(text),
  time: text,
  user: nullable(text),
});

export const readAudit = /* @__PURE__ */ object<wire.Audit>({
  cursor: text,
  entries: list(readAuditEntry),
  topic: text,
});

export const readShownDevice = /* @__PURE__ */ object<wire.ShownDevice>({
  connectTime: nullable(text),
  connections: number,
  deviceId: text,
  name: nullable(text),
  transports: listOfKnown(word(transportNames)),
});

export const readDevices = /* @__PURE__ */ object<wire.Devices>({
  complete: flag,
  cursor: text,
  devices: list(readShownDevice),
  topic: text,
});

export const readExpiring = /* @__PURE__ */ object<wire.Expiring>({
  expiresInMs: number,
  tokenExpiresAt: text,
});

export const readNotification = /* @__PURE__ */ object<wire.Notification>({
  body: text,
  createTime: text,
  id: text,
  jobId: nullable(text),
  kind: text,
  readTime: nullable(text),
  severity: word(severities, 'info'),
  title: text,
});

export const readNotificationEvent = /* @__PURE__ */ object<wire.NotificationEvent>({
  cursor: nullable(text),
  notification: readNotification,
  topic: text,
  unread: number,
});

export const readJobAnswer = /* @__PURE__ */ object<wire.JobAnswer>({
  cursor: nullable(text),
  job: readJob,
});

export const readJobsAnswer = /* @__PURE__ */ object<wire.JobsAnswer>({
  cursor: text,
  jobs: list(readJob),
  nextPageToken: nullable(text),
});

export const readOutputsAnswer = /* @__PURE__ */ object<wire.OutputsAnswer>({
  outputs: list(readOutput),
});

export const readBatch = /* @__PURE__ */ object<wire.Batch>({
  batchId: text,
  complete: flag,
  createTime: nullable(text),
  endTime: nullable(text),
  jobsCancelled: number,
  jobsCancelling: number,
  jobsFailed: number,
  jobsQueued: number,
  jobsRunning: number,
  jobsSucceeded: number,
  jobsTotal: number,
  owner: text,
  pagesDone: number,
  pagesTotal: number,
  progress: range(0, 100),
  revision: number,
});

export const readBatchAnswer = /* @__PURE__ */ object<wire.BatchAnswer>({
  batch: readBatch,
  cursor: nullable(text),
  jobsCancelled: nullable(number),
});

export const readQuota = /* @__PURE__ */ object<wire.Quota>({
  limit: number,
  name: text,
  retryAfter: nullable(number),
  used: number,
});

export const readQuotaAnswer = /* @__PURE__ */ object<wire.QuotaAnswer>({
  quotas: list(readQuota),
});

export const readWebhook = /* @__PURE__ */ object<wire.Webhook>({
  createTime: text,
  cursor: text,
  description: text,
  disableReason: nullable(text),
  disableTime: nullable(text),
  events: list(text),
  eventsDelivered: number,
  eventsGivenUp: number,
  failingSince: nullable(text),
  jobsWaiting: number,
  oldSecretExpireTime: nullable(text),
  state: text,
  url: text,
  webhookId: text,
});

export const readWebhooksAnswer = /* @__PURE__ */ object<wire.WebhooksAnswer>({
  webhooks: list(readWebhook),
});

export const readWebhookAnswer = /* @__PURE__ */ object<wire.WebhookAnswer>({
  historyTrimmed: nullable(flag),
  secret: nullable(text),
  webhook: readWebhook,
});

export const readWebhookDelivery = /* @__PURE__ */ object<wire.WebhookDelivery>({
  attempt: number,
  duration: nullable(number),
  error: nullable(text),
  givenUp: flag,
  httpStatus: nullable(number),
  jobId: nullable(text),
  messageId: text,
  sendTime: text,
  type: text,
});

export const readWebhookTestAnswer = /* @__PURE__ */ object<wire.WebhookTestAnswer>({
  delivery: readWebhookDelivery,
});

export const readWebhookDeliveriesAnswer = /* @__PURE__ */ object<wire.WebhookDeliveriesAnswer>({
  deliveries: list(readWebhookDelivery),
});
