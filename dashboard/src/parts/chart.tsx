/** Chart of series over time, which grows at its right end. */

import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { isDark } from "../app/theme.ts";
import { NONE } from "../format/numbers.ts";
import { axisTime } from "../format/times.ts";

export interface Series {
  readonly label: string;
  /** One value for each time; null: there is none. */
  readonly values: readonly (number | null)[];
}

export interface ChartProps {
  readonly title: string;
  /** Unix times in seconds, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  /** Write a value with its unit. */
  readonly format: (value: number | null | undefined) => string;
  readonly heightPx?: number;
  /** Whether the values are whole numbers, between which the axis has none. */
  readonly whole?: boolean;
}

/** Dashes of the series in turn, by which they differ as well as by colour. */
export const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
const SYNC = uPlot.sync("time");
const AXIS_PX = 64;
const LEAST_SPAN_S = 10;
/** Steps of the axis of time: those of its labels, which tell no parts of a second. */
const TIME_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
/** Steps of an axis of whole numbers: 1, 2, 5, 10 … */
const WHOLE_STEPS = Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

export function Chart({ title, times, series, format, heightPx = 160, whole = false }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const newest = useRef({ times, series, format });
  newest.current = { times, series, format };
  const names = series.map(({ label }) => label).join("\n");
  const draw = (): void => {
    const { current } = box;
    plot.current?.destroy();
    if (current) {
      const options = optionsOf(
        current,
        newest.current.series,
        (value) => newest.current.format(value),
        heightPx,
        whole,
      );
      plot.current = new uPlot(options, dataOf(newest.current), current);
    }
  };
  // Colours are drawn into the canvas: another theme draws it anew.
  useSignalEffect(() => {
    isDark.value;
    requestAnimationFrame(draw);
  });
  useEffect(() => {
    draw();
    const observer = new ResizeObserver(([{ contentRect }]) =>
      plot.current?.setSize({ width: contentRect.width, height: heightPx }),
    );
    if (box.current) {
      observer.observe(box.current);
    }
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [names, heightPx, whole]);
  useEffect(() => plot.current?.setData(dataOf({ times, series })), [times, series]);
  const last = series.map(({ label, values }) => `${label} ${format(values.at(-1))}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div
        ref={box}
        class="chart-box"
        style={{ height: `${heightPx}px` }}
        role="img"
        aria-label={`${title}: ${last}`}
      />
      <ul class="legend">
        {series.map(({ label, values }, index) => (
          <li key={label}>
            <span class={`legend-line series-${index % 6}`} />
            {label} <b>{values.length ? format(values.at(-1)) : NONE}</b>
          </li>
        ))}
      </ul>
    </figure>
  );
}

function dataOf({ times, series }: Pick<ChartProps, "times" | "series">): uPlot.AlignedData {
  return [times, ...series.map(({ values }) => values)] as uPlot.AlignedData;
}

function optionsOf(
  box: HTMLElement,
  series: readonly Series[],
  format: ChartProps["format"],
  height: number,
  whole: boolean,
): uPlot.Options {
  const styles = getComputedStyle(box);
  const colour = (name: string): string => styles.getPropertyValue(name).trim();
  const axis = { stroke: colour("--text-muted"), grid: { stroke: colour("--grid"), width: 1 }, font: "11px system-ui" };
  return {
    width: Math.max(1, box.clientWidth),
    height,
    legend: { show: false },
    cursor: { sync: { key: SYNC.key }, drag: { x: false, y: false }, points: { size: 5 } },
    padding: [8, 26, 0, 0],
    scales: {
      x: { time: true, range: spanOf },
      y: { range: (_plot, least, most) => [Math.min(0, least ?? 0), (most || 1) * 1.08] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        ticks: { show: false },
        space: 90,
        incrs: TIME_STEPS_S,
        values: (_plot, times) => times.map(axisTime),
      },
      {
        ...axis,
        size: AXIS_PX,
        space: 36,
        ticks: { show: false },
        ...(whole ? { incrs: WHOLE_STEPS } : {}),
        values: (_plot, values) => values.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...series.map(({ label }, index) => {
        const stroke = colour(`--series-${index % 6}`);
        return {
          label,
          stroke,
          width: 1.5,
          dash: [...DASHES[index % DASHES.length]],
          points: { show: false },
        };
      }),
    ],
  };
}

/** Return the time of the day, with seconds where they say something. */
/** Return the time that is drawn: a first sample alone has some seconds beside it. */
function spanOf(_plot: uPlot, first: number | null, last: number | null): [number, number] {
  const [from, to] = [first ?? 0, last ?? 0];
  return [Math.min(from, to - LEAST_SPAN_S), to];
}
