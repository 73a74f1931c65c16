import { expect, test } from "vitest";
import { hasLogScale, percentilesOf, rangeOf } from "../../../src/viewer/numbers/value_range.ts";

const HUNDRED = Float64Array.from({ length: 101 }, (_, index) => 100 - index);
const ALL = { kind: "percentile", percent: 0 } as const;

test("percentiles leave out the ends, and what is not finite", () => {
  expect(percentilesOf(HUNDRED, 5)).toEqual({ low: 5, high: 95 });
  expect(percentilesOf(Float32Array.of(Number.NaN, 3, Number.POSITIVE_INFINITY), 0)).toEqual({ low: 3, high: 3 });
  expect(percentilesOf(new Float32Array(0), 1)).toBeUndefined();
});

test("percentiles of many numbers are those of a sample", () => {
  const many = Float64Array.from({ length: 1_000_000 }, (_, index) => index % 1000);
  const { low, high } = percentilesOf(many, 10) ?? { low: 0, high: 0 };
  expect(low).toBeGreaterThan(90);
  expect(low).toBeLessThan(110);
  expect(high).toBeGreaterThan(890);
});

test("a diverging map is as wide on both sides of zero, unless the range is fixed", () => {
  expect(rangeOf(Float64Array.of(-1, 3), ALL, "diverging", false)).toEqual({ low: -3, high: 3 });
  const fixed = { kind: "fixed", low: 0, high: 1 } as const;
  expect(rangeOf(HUNDRED, fixed, "diverging", false)).toMatchObject({ low: 0, high: 1 });
});

test("a logarithmic scale begins at the least number above zero", () => {
  const range = rangeOf(Float64Array.of(-5, 0, 0.25, 8), ALL, "viridis", true);
  expect(range).toEqual({ low: 0.25, high: 8 });
  expect(hasLogScale(range)).toBe(true);
  expect(hasLogScale(rangeOf(Float64Array.of(-5, -1), ALL, "viridis", true))).toBe(false);
});
