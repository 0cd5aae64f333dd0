import { type JobView, zoneKinds } from '@courant/client';
import { count, zoneNames } from '../ui/format.ts';

/** What was found so far, by kind. */
export function ZoneCounts({ view: { job, zoneCounts } }: { readonly view: JobView }) {
  const found = zoneKinds.filter((kind) => (zoneCounts[kind] ?? 0) > 0);
  const known = found.reduce((sum, kind) => sum + (zoneCounts[kind] ?? 0), 0);
  return (
    <ul className="zones" data-testid="job-zones" data-total={job.zonesCompleted} aria-label="Zones found">
      {/* After a reload only the sum is known until more pages finish: say just that rather than a part of it. */}
      {known < job.zonesCompleted ? (
        <li className="zone">{count(job.zonesCompleted, 'zone')}</li>
      ) : (
        found.map((kind) => (
          <li key={kind} className="zone" data-kind={kind}>
            <span className="zone-dot" aria-hidden="true" />
            {count(zoneCounts[kind] ?? 0, ...zoneNames[kind])}
          </li>
        ))
      )}
    </ul>
  );
}
