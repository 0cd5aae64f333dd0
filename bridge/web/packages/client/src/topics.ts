/** Topics by their names (PROTOCOL.md, section 2). */

/** Topics that send a state as a whole, not events of jobs. */
export const stateTopics = ['queue', 'admin', 'devices', 'notifications'] as const;
export type StateTopic = (typeof stateTopics)[number];

/** All jobs of the user. */
export const mine = 'mine';

/** What a topic sends: events of jobs, which resume at a cursor, or a state, which is sent again to each page. */
export function topicKind(topic: string): 'jobs' | 'state' {
  return stateTopics.some((each) => each === topic) ? 'state' : 'jobs';
}

/** The job that a topic follows; `null` when it follows several, or none. */
export function jobIdOf(topic: string): string | null {
  return topic.startsWith('job/') ? topic.slice('job/'.length) : null;
}
