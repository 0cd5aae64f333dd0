/** `@courant/client`: live document jobs, without a framework and without dependencies. */
export { type ClientOptions, CourantClient } from './client.ts';
export type { TokenProvider } from './connection.ts';
export { type Decoded, decode } from './decode.ts';
export { CourantError } from './errors.ts';
export { type JobView, type PageView, view, type ZoneCounts } from './fold.ts';
export type { JobAndCursor, JobList, ListOptions, ResultFile } from './http.ts';
export type { JobEvent, ServerMessage } from './messages.ts';
export type { SocketConstructor, SocketLike } from './socket.ts';
export type { Cause, ConnectionState } from './state.ts';
export type { JobStore, Schedule } from './store.ts';
export type { TopicState, WatchOptions } from './subscriptions.ts';
export type { TransportName } from './transport.ts';
export * from './types.ts';
export { newRequestId, type SubmitOptions } from './upload.ts';
