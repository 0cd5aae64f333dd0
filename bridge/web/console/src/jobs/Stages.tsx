import { type Job, type Step, steps } from '@courant/client';
import { stepNames } from '../ui/format.ts';

type StageStatus = 'past' | 'now' | 'ahead' | 'stopped';

function stageStatus(job: Job, step: Step): StageStatus {
  const at = steps.indexOf(job.step);
  const index = steps.indexOf(step);
  if (job.state === 'succeeded' || index < at) return 'past';
  if (index > at) return 'ahead';
  return job.state === 'failed' || job.state === 'cancelled' ? 'stopped' : 'now';
}

const statusWords: Record<StageStatus, string> = {
  past: 'done',
  now: 'now',
  ahead: 'to come',
  stopped: 'stopped here',
};

/** The way through the pipeline, as stations on a line. */
export function Stages({ job }: { readonly job: Job }) {
  return (
    <ol className="stages" data-testid="job-stage" data-step={job.step} aria-label="Stages">
      {steps.map((step) => {
        const state = stageStatus(job, step);
        return (
          <li key={step} data-status={state} aria-current={state === 'now' ? 'step' : undefined}>
            <span className="stage-dot" aria-hidden="true" />
            <span className="stage-name">{stepNames[step]}</span>
            <span className="hidden">: {statusWords[state]}</span>
          </li>
        );
      })}
    </ol>
  );
}
