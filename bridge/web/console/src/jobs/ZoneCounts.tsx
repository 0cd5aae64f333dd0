import { type ZoneCounts as Counts, type JobView, zoneKinds } from '@courant/client';
import { formatCount } from '@courant/react/format';
import { zoneNames } from '../ui/format.ts';

/** What was found so far, by kind. */
export function ZoneCounts({
  view: { job, zoneCounts },
}: {
  readonly view: Pick<JobView, 'job' | 'zoneCounts'>;
}) {
  const found = zoneKinds.filter((kind) => (zoneCounts[kind] ?? 0) > 0);
  const known = found.reduce((sum, kind) => sum + (zoneCounts[kind] ?? 0), 0);
  return (
    <ul className="zones" data-testid="job-zones" data-total={job.zonesCompleted} aria-label="Zones found">
      {/* After a reload only the sum is known until more pages finish: say just that rather than a part of it. */}
      {known < job.zonesCompleted ? (
        <li className="zone">{formatCount(job.zonesCompleted, 'zone')}</li>
      ) : (
        found.map((kind) => (
          <li key={kind} className="zone" data-kind={kind}>
            <span className="zone-dot" aria-hidden="true" />
            {formatCount(zoneCounts[kind] ?? 0, ...zoneNames[kind])}
          </li>
        ))
      )}
    </ul>
  );
}

/** The colours and what they stand for. */
export function Legend({ counts }: { readonly counts: Counts }) {
  return (
    <ul className="zones" data-testid="legend" aria-label="Zones by kind">
      {zoneKinds
        .filter((kind) => (counts[kind] ?? 0) > 0)
        .map((kind) => (
          <li key={kind} className="zone" data-kind={kind}>
            <span className="zone-dot" aria-hidden="true" />
            {formatCount(counts[kind] ?? 0, ...zoneNames[kind])}
          </li>
        ))}
    </ul>
  );
}
