/** `@courant/react`: `@courant/client` as React hooks. */
export { CourantProvider, useCourant } from './context.ts';
export { useConnection, useJob, useJobs, useTopic, useWatch } from './hooks.ts';
