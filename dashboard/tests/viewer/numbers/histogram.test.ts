import { expect, test } from "vitest";
import { histogramOf } from "../../../src/viewer/numbers/histogram.ts";

test("the upper bound belongs to the last interval; NaN and numbers outside to none", () => {
  const numbers = Float64Array.of(0, 0.9, 1, 3.9, 4, 5, Number.NaN);
  expect(histogramOf(numbers, 0, 4, 4).counts).toEqual([2, 1, 0, 2]);
});

test("equal numbers are in one interval, and the widest range has intervals", () => {
  expect(histogramOf(Float32Array.of(7, 7), 7, 7, 3).counts).toEqual([2, 0, 0]);
  const most = Number.MAX_VALUE;
  expect(histogramOf(Float64Array.of(-most, 0, most), -most, most, 4).counts).toEqual([1, 0, 1, 1]);
});
