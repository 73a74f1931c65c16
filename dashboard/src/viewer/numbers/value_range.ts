/** Range of numbers that the colours of a heat map, or the height of a plot, stand for. */

import type { ColourMapName, RangeChoice } from "../settings.ts";
import type { Numbers } from "./plane.ts";
import { extremesOf } from "./statistics.ts";

export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** Numbers that percentiles are taken of: more would take longer than a frame to sort. */
const SAMPLE = 65_536;

/** Return the numbers below and above which there is a percentage of the finite ones; undefined: there is none. */
export function percentilesOf(numbers: Numbers, percent: number): ValueRange | undefined {
  const step = Math.max(1, Math.floor(numbers.length / SAMPLE));
  const sample = new Float64Array(Math.ceil(numbers.length / step));
  let count = 0;
  for (let index = 0; index < numbers.length; index += step) {
    if (Number.isFinite(numbers[index])) {
      sample[count++] = numbers[index];
    }
  }
  const sorted = sample.subarray(0, count).sort();
  const at = Math.round((percent / 100) * (count - 1));
  return count ? { low: sorted[at], high: sorted[count - 1 - at] } : undefined;
}

/** Return the range of the colours; that of a diverging map is as wide on both sides of zero. */
export function rangeOf(numbers: Numbers, choice: RangeChoice, map: ColourMapName, isLog: boolean): ValueRange {
  const found = chosenRange(numbers, choice);
  if (map === "diverging" && choice.kind !== "fixed") {
    const most = Math.max(Math.abs(found.low), Math.abs(found.high));
    return { low: -most, high: most };
  }
  return isLog && found.low <= 0 ? { low: leastPositive(numbers, found.high), high: found.high } : found;
}

function chosenRange(numbers: Numbers, choice: RangeChoice): ValueRange {
  if (choice.kind === "fixed") {
    return choice;
  }
  if (choice.percent) {
    return percentilesOf(numbers, choice.percent) ?? { low: 0, high: 0 };
  }
  const [low, high] = extremesOf(numbers) ?? [0, 0];
  return { low, high };
}

function leastPositive(numbers: Numbers, high: number): number {
  let least = high;
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index];
    least = number > 0 && number < least ? number : least;
  }
  return least;
}

/** Whether a logarithmic scale has numbers to show: it has no place for zero and below. */
export function hasLogScale(range: ValueRange): boolean {
  return range.low > 0 && range.high > range.low;
}
