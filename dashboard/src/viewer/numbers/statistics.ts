/** Statistics of numbers. */

import type { Numbers } from "./plane.ts";

/** Counts of all elements; the other fields are of the finite ones, undefined if there is none. */
export interface Statistics {
  readonly count: number;
  readonly nan: number;
  readonly infinite: number;
  readonly zeros: number;
  readonly least: number | undefined;
  readonly most: number | undefined;
  readonly mean: number | undefined;
  /** Standard deviation of the population. */
  readonly deviation: number | undefined;
}

/** Return the statistics of numbers, in two passes: sums of squares without the mean lose all digits of large numbers. */
export function statisticsOf(numbers: Numbers): Statistics {
  let [nan, infinite, zeros, sum] = [0, 0, 0, 0];
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index];
    // Subtracted from itself a finite number is 0; the others are not a number.
    if (number - number === 0) {
      sum += number;
      least = Math.min(least, number);
      most = Math.max(most, number);
      zeros += number === 0 ? 1 : 0;
    } else if (Number.isNaN(number)) {
      nan++;
    } else {
      infinite++;
    }
  }
  const counts = { count: numbers.length, nan, infinite, zeros };
  const finite = numbers.length - nan - infinite;
  if (!finite) {
    return { ...counts, least: undefined, most: undefined, mean: undefined, deviation: undefined };
  }
  const mean = Number.isFinite(sum) ? sum / finite : meanOfLarge(numbers, finite);
  return { ...counts, least, most, mean, deviation: Math.sqrt(varianceOf(numbers, mean, finite)) };
}

function meanOfLarge(numbers: Numbers, finite: number): number {
  let mean = 0;
  for (const number of numbers) {
    mean += number - number === 0 ? number / finite : 0;
  }
  return mean;
}

function varianceOf(numbers: Numbers, mean: number, finite: number): number {
  let squares = 0;
  for (let index = 0; index < numbers.length; index++) {
    const distance = numbers[index] - mean;
    if (distance - distance === 0) {
      squares += distance * distance;
    }
  }
  return squares / finite;
}

/** Return the least and the greatest finite number; undefined: there is none. */
export function extremesOf(numbers: Numbers): readonly [least: number, most: number] | undefined {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index];
    if (number < least && number !== Number.NEGATIVE_INFINITY) {
      least = number;
    }
    if (number > most && number !== Number.POSITIVE_INFINITY) {
      most = number;
    }
  }
  return least <= most ? [least, most] : undefined;
}
