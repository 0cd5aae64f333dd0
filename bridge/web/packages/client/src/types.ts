/** The job and its parts as they look on the wire (PROTOCOL.md, section 4). */
import type { Job } from './wire.generated.ts';

export {
  type Attempt,
  type BoundingBox,
  type Export,
  type ExportState,
  exportStates,
  type Job,
  type JobError,
  type JobState,
  type JobStatus,
  jobStates,
  jobStatuses,
  type Lane,
  lanes,
  type Output,
  type Page,
  type ResultFormat,
  resultFormats,
  type Step,
  steps,
  type Zone,
  type ZoneKind,
  type ZoneStatus,
  zoneKinds,
  zoneStatuses,
} from './wire.generated.ts';

/** Whether nothing more happens to the job by itself. */
export function isFinished(job: Pick<Job, 'state'>): boolean {
  return job.state === 'succeeded' || job.state === 'failed' || job.state === 'cancelled';
}
