// Each call has a mistake that the compiler must find.

import createClient from 'openapi-fetch';

import type { paths } from './courant.js';

const client = createClient<paths>({ baseUrl: 'http://127.0.0.1:1' });

await client.GET('/v1/jobs', { params: { query: { pageSize: 'many' } } });
await client.GET('/v1/jobs', { params: { query: { state: ['done'] } } });
await client.GET('/v1/jobs/{id}/results/{format}', { params: { path: { id: 'j', format: 'docx' } } });
await client.POST('/v1/notifications', { body: { severity: 'info' } });
