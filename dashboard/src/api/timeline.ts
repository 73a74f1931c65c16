/** Timeline of the gateway, as `GET /api/v1/timeline` has it: read whole once, and then only what is newer. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { read } from "./requests.ts";

export interface TimelineData {
  readonly start_s: number;
  readonly now_s: number;
  readonly interval_s: number;
  readonly times_s: readonly number[];
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Time that a chart shows: samples of one resolution, and their number at most. */
export interface Span {
  readonly label: string;
  readonly interval_s: number;
  readonly samples: number;
}

export const SPANS: readonly Span[] = [
  { label: "10 min", interval_s: 1, samples: 600 },
  { label: "2 h", interval_s: 10, samples: 720 },
  { label: "24 h", interval_s: 60, samples: 1440 },
];

/** Return older samples with newer ones behind them; none before a restart of the gateway. */
export function joined(older: TimelineData | undefined, newer: TimelineData, samples: number): TimelineData {
  if (!older || older.start_s !== newer.start_s || older.interval_s !== newer.interval_s) {
    return newer;
  }
  const lastS = older.times_s.at(-1) ?? 0;
  // `since` is a whole second, so the newest sample may come again.
  const first = newer.times_s.findIndex((timeS) => timeS > lastS);
  const from = first < 0 ? newer.times_s.length : first;
  const series = Object.entries(newer.series).map(([name, values]) => [
    name,
    [...(older.series[name] ?? []), ...values.slice(from)].slice(-samples),
  ]);
  return {
    ...newer,
    times_s: [...older.times_s, ...newer.times_s.slice(from)].slice(-samples),
    series: Object.fromEntries(series),
  };
}

/** Return whether samples that were read since the last older one follow it: neither the gateway nor its clock began anew. */
export function isContinued(older: TimelineData | undefined, newer: TimelineData): boolean {
  return !older || (older.start_s === newer.start_s && (older.times_s.at(-1) ?? 0) <= newer.now_s);
}

/** Follow the timeline of a path while the component is there and the page is visible. */
export function useTimeline({ interval_s, samples }: Span, path = "/api/v1/timeline"): TimelineData | undefined {
  const timeline = useSignal<TimelineData | undefined>(undefined);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const abort = new AbortController();
    timeline.value = undefined;
    let isAnew = true;
    const follow = async (): Promise<void> => {
      const older = isAnew ? undefined : timeline.value;
      const since = Math.floor(older?.times_s.at(-1) ?? 0);
      try {
        const query = `interval_s=${interval_s}&since=${since}`;
        const newer = document.hidden ? undefined : await read<TimelineData>(`${path}?${query}`, abort.signal);
        if (newer) {
          isAnew = !isContinued(older, newer); // what is shown stays until all has been read
          timeline.value = isAnew ? timeline.value : joined(older, newer, samples);
        }
      } catch {
        // The banner tells that the gateway is not reached.
      }
      if (!abort.signal.aborted) {
        timer = setTimeout(() => void follow(), 1000 * Math.min(interval_s, 10));
      }
    };
    void follow();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [interval_s, samples, path, timeline]);
  return timeline.value?.interval_s === interval_s ? timeline.value : undefined;
}
