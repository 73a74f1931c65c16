/** Chart of some series of a timeline. */

import type { TimelineData } from "../api/timeline.ts";
import { Chart, type ChartProps } from "./chart.tsx";

interface TimelineChartProps extends Omit<ChartProps, "times" | "series"> {
  /** Undefined: not known yet. */
  readonly timeline: TimelineData | undefined;
  /** Label of each line, and the name of its series. */
  readonly lines: readonly (readonly [label: string, series: string])[];
}

export function TimelineChart({ timeline, lines, ...chart }: TimelineChartProps) {
  const series = lines.map(([label, name]) => ({ label, values: timeline?.series[name] ?? [] }));
  return <Chart {...chart} times={timeline?.times_s ?? []} series={series} />;
}
