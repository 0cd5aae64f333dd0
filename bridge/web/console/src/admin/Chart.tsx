import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import type { Series, SeriesName } from './metrics-history.ts';

interface Props {
  readonly title: string;
  readonly unit: string;
  readonly name: SeriesName;
  readonly series: Series;
  readonly color: string;
  readonly digits?: number;
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    hour12: false,
  });
}

/** Colours are the page's own; a canvas cannot read them from a style sheet. */
function colour(element: Element, name: string): string {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const found = colour(probe, 'color');
  probe.remove();
  return found;
}

function sinceMinutes(low: number | null, high: number | null): [number, number] {
  const end = high ?? Date.now() / 1000;
  return [Math.min(low ?? end, end - 300), end];
}

function options(box: HTMLElement, color: string, words: (value: number) => string): uPlot.Options {
  const stroke = resolved(box, color);
  const [ink, line] = [resolved(box, '--ink-mute'), resolved(box, '--line')];
  const axis: uPlot.Axis = {
    stroke: ink,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  };
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    padding: [8, 14, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    // Never less than five minutes, so that the first points are no drama.
    scales: {
      x: { range: (_, low, high) => sinceMinutes(low, high) },
      y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.15)] },
    },
    axes: [
      { ...axis, size: 22, space: 60, grid: { show: false }, values: (_, ticks) => ticks.map(clock) },
      { ...axis, size: 46, space: 34, values: (_, ticks) => ticks.map(words) },
    ],
    series: [
      {},
      {
        stroke,
        width: 2,
        fill: stroke.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)'),
        spanGaps: false,
        // One value is no line yet.
        points: { show: ({ data: [times] }) => times.length === 1, size: 5 },
      },
    ],
  };
}

/** One figure over time. Screen readers get the newest value, the least and the most. */
export function Chart({ title, unit, name, series, color, digits = 0 }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useTheme();
  const values = series.values[name];
  const words = (value: number): string =>
    value.toLocaleString('en', {
      maximumFractionDigits: digits,
      notation: value >= 100_000 ? 'compact' : 'standard',
    });

  // Another theme has other colours: the chart is created again.
  useEffect(() => {
    const to = box.current;
    if (to === null) return;
    const made = new uPlot(
      options(to, color, (value) => value.toLocaleString('en', { notation: 'compact' })),
      [[], []],
      to,
    );
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: to.clientWidth, height: to.clientHeight }),
    );
    observer.observe(to);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [color, theme]);

  // A new chart needs its data.
  useEffect(() => {
    plot.current?.setData([[...series.times], [...values]]);
  }, [series, values, theme]);

  const known = values.filter((value) => value !== null);
  const last = values.at(-1) ?? null;
  const summary =
    known.length === 0
      ? 'nothing yet'
      : `now ${last === null ? 'unknown' : words(last)}, least ${words(Math.min(...known))}, most ${words(Math.max(...known))} ${unit}`;
  return (
    <figure className="chart" data-testid={`chart-${name}`}>
      <figcaption>
        <span>{title}</span>
        <strong>
          {last === null ? '–' : words(last)} <small>{unit}</small>
        </strong>
      </figcaption>
      <div ref={box} className="chart-box" role="img" aria-label={`${title}: ${summary}`} />
    </figure>
  );
}

function useTheme(): string {
  const [theme, setTheme] = useState('');
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const look = () => setTheme(`${dark.matches} ${document.documentElement.dataset['theme'] ?? ''}`);
    look();
    dark.addEventListener('change', look);
    const observer = new MutationObserver(look);
    observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      dark.removeEventListener('change', look);
      observer.disconnect();
    };
  }, []);
  return theme;
}
