/** Histogram of numbers: how many of the finite ones are in each of some equal intervals. */

import type { Numbers } from "./plane.ts";

export interface Histogram {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

/**
 * Return the histogram of numbers between two.
 *
 * @param low lower bound of the first interval.
 * @param high upper bound of the last one, which belongs to it.
 */
export function histogramOf(numbers: Numbers, low: number, high: number, intervals: number): Histogram {
  const counts = new Uint32Array(intervals);
  if (low === high) {
    for (let index = 0; index < numbers.length; index++) {
      counts[0] += numbers[index] === low ? 1 : 0;
    }
    return { low, high, counts: [...counts] };
  }
  const width = high / 2 - low / 2; // halves, for a range that float64 does not hold
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index];
    if (number >= low && number <= high) {
      const place = (((number / 2 - low / 2) / width) * intervals) | 0;
      counts[place < intervals ? place : intervals - 1]++;
    }
  }
  return { low, high, counts: [...counts] };
}
