import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { jobIdOf, mine, stateTopics, topicKind } from '../src/topics.ts';

describe('a topic', () => {
  it('of a state is one that PROTOCOL.md has an example of, and only those', () => {
    const protocol = readFileSync(new URL('../../../../PROTOCOL.md', import.meta.url), 'utf8');
    const types = ['queue-status', 'workers', 'devices', 'notification'];
    const topics = types.map(
      (type) => new RegExp(`^\\{"type":"${type}","topic":"([^"]+)"`, 'm').exec(protocol)?.[1],
    );
    expect(topics).toEqual([...stateTopics]);
    expect(stateTopics.map(topicKind)).toEqual(stateTopics.map(() => 'state'));
    expect([mine, 'job/J1', 'document/D1', 'batch/queue'].map(topicKind)).toEqual(Array(4).fill('jobs'));
  });

  it('names the job it follows', () => {
    expect(['job/J1', 'job/a/b', mine, 'batch/B1'].map(jobIdOf)).toEqual(['J1', 'a/b', null, null]);
  });
});
