import type { Zone } from '@courant/client';
import type { CSSProperties, KeyboardEvent } from 'react';
import { useRef } from 'react';
import { toolName, zoneNames } from '../ui/format.ts';

interface Props {
  readonly zones: readonly Zone[];
  readonly current: Zone | null;
  readonly width: number;
  readonly height: number;
  /** Zones of a page that was finished just now light up one after the other. */
  readonly isNew: boolean;
  readonly active: string | null;
  readonly activate: (zoneId: string | null) => void;
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(3)}%`;

function zoneStyle({ boundingBox: box }: Zone, width: number, height: number): CSSProperties {
  if (box === null) return { display: 'none' };
  return {
    left: percent(box.x0, width),
    top: percent(box.y0, height),
    width: percent(Math.max(3, box.x1 - box.x0), width),
    height: percent(Math.max(3, box.y1 - box.y0), height),
  };
}

export function formatMilliseconds(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function zoneLabel({ index, kind, tool, status, confidence, durationMs, note }: Zone): string {
  const sure = status === 'completed' ? `${Math.round(confidence * 100)} % sure` : status;
  const parts = [
    `${index}: ${zoneNames[kind][0]}`,
    sure,
    toolName(tool),
    formatMilliseconds(durationMs),
    note,
  ];
  return parts.filter(Boolean).join(', ');
}

/** What was found on a page, over its picture. One stop for Tab; arrows go from zone to zone. */
export function ZoneLayer({ zones, current, width, height, isNew, active, activate }: Props) {
  const layer = useRef<HTMLDivElement>(null);
  const shown = zones.filter(({ boundingBox }) => boundingBox !== null);
  const chosen = shown.find(({ zoneId }) => zoneId === active);
  const stop = chosen ?? shown[0];
  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === 'Escape') activate(null);
    if (step === undefined || stop === undefined) return;
    event.preventDefault();
    const next = shown[Math.min(shown.length - 1, Math.max(0, shown.indexOf(stop) + step))];
    if (next === undefined) return;
    activate(next.zoneId);
    layer.current?.querySelector<HTMLElement>(`[data-zone="${CSS.escape(next.zoneId)}"]`)?.focus();
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: no form is here, and a fieldset would bring a legend.
    <div className="zone-layer" ref={layer} role="group" aria-label="Zones" onKeyDown={move}>
      {shown.map((zone, at) => (
        <button
          key={zone.zoneId}
          type="button"
          className="zone-mark"
          data-kind={zone.kind}
          data-zone={zone.zoneId}
          data-status={zone.status}
          data-new={isNew}
          data-active={zone.zoneId === active}
          data-testid="zone"
          tabIndex={zone === stop ? 0 : -1}
          aria-label={zoneLabel(zone)}
          style={{
            ...zoneStyle(zone, width, height),
            animationDelay: isNew ? `${Math.min(at * 35, 900)}ms` : '0ms',
          }}
          onMouseEnter={() => activate(zone.zoneId)}
          onMouseLeave={() => activate(null)}
          onFocus={() => activate(zone.zoneId)}
          onBlur={() => activate(null)}
          onClick={() => activate(zone.zoneId)}
        />
      ))}
      {current !== null && (
        <span
          className="zone-now"
          data-kind={current.kind}
          data-testid="zone-now"
          style={zoneStyle(current, width, height)}
        />
      )}
      {chosen && <Tip zone={chosen} width={width} height={height} />}
    </div>
  );
}

/** Kind, tool, certainty and time of a zone, beside it and inside the page. */
function Tip({
  zone,
  width,
  height,
}: {
  readonly zone: Zone;
  readonly width: number;
  readonly height: number;
}) {
  const box = zone.boundingBox;
  if (box === null) return null;
  const above = box.y0 > height * 0.62;
  const style: CSSProperties = {
    left: percent(Math.min(Math.max(0, box.x0), width * 0.5), width),
    ...(above ? { bottom: percent(height - box.y0, height) } : { top: percent(box.y1, height) }),
  };
  const sure = Math.round(zone.confidence * 100);
  return (
    <div
      className="zone-tip"
      data-kind={zone.kind}
      data-above={above}
      style={style}
      aria-hidden="true"
      data-testid="zone-tip"
    >
      <strong>
        <span className="zone-dot" />
        {zoneNames[zone.kind][0]}
      </strong>
      <dl>
        <div>
          <dt>Tool</dt>
          <dd>{toolName(zone.tool)}</dd>
        </div>
        <div>
          <dt>Certainty</dt>
          <dd>{zone.status === 'completed' ? `${sure} %` : zone.status}</dd>
        </div>
        <div>
          <dt>Time</dt>
          <dd>{formatMilliseconds(zone.durationMs)}</dd>
        </div>
      </dl>
      {zone.status === 'completed' && (
        <span className="meter">
          <span style={{ transform: `scaleX(${zone.confidence})` }} />
        </span>
      )}
      {zone.note !== null && <p>{zone.note}</p>}
    </div>
  );
}
