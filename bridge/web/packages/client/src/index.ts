/** `@courant/client`: live document jobs, without a framework and without dependencies. */
export type { DocumentPart, JobAndCursor, JobList, ListOptions, ResultFile } from './calls.ts';
export { CourantClient } from './client.ts';
export type { Device, TokenProvider } from './credentials.ts';
export type { CursorStorage } from './cursors.ts';
export type { Decoded } from './decode.ts';
export { CourantError } from './errors.ts';
export { type JobView, type PageView, view, type ZoneCounts } from './job-view.ts';
export type { JobEvent, JobUpdate, ServerMessage, StateMessage } from './messages.ts';
export type { ClientOptions, EventOf, FollowOptions } from './options.ts';
export { newRequestId } from './request-id.ts';
export type { SocketConstructor, SocketLike } from './socket.ts';
export type { Cause, ConnectionState } from './state.ts';
export type { JobStore, Schedule } from './store.ts';
export type { TopicState, WatchOptions } from './subscriptions.ts';
export type { StateTopic } from './topics.ts';
export type { MessageFormat, TransportName } from './transport.ts';
export * from './types.ts';
export type { SubmitOptions } from './upload.ts';
