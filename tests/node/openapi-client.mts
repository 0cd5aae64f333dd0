// Submits a document by the generated types, waits for the end of its job, and gives back the Markdown.

import createClient from 'openapi-fetch';

import type { paths } from './courant.js';

export async function convert(baseUrl: string, token: string, document: Blob): Promise<string | undefined> {
  const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });
  const submitted = await client.POST('/v1/jobs', {
    params: { query: { name: 'typed.pdf', formats: ['md', 'json'], label: ['made:by-types'], pages: 2 } },
    headers: { 'content-type': 'application/pdf' },
    body: '',
    bodySerializer: () => document,
  });
  if (submitted.error) throw new Error(submitted.error.detail);
  let job = submitted.data.job;
  while (job.endTime === null) {
    const { data, error } = await client.GET('/v1/jobs/{id}', { params: { path: { id: job.jobId } } });
    if (error) throw new Error(`${error.code}: ${error.detail}`);
    job = data.job;
  }
  if (job.state !== 'succeeded') throw new Error(job.state);
  const query = { state: ['succeeded' as const], label: ['made:by-types'], pageSize: 5 };
  const listed = await client.GET('/v1/jobs', { params: { query } });
  if (listed.data?.jobs.length !== 1) throw new Error('the list does not have the job');
  const path = { id: job.jobId, format: 'md' as const };
  const result = await client.GET('/v1/jobs/{id}/results/{format}', { params: { path }, parseAs: 'text' });
  return result.data as string | undefined;
}
