import { expect, test } from "vitest";
import { extremesOf, statisticsOf } from "../../../src/viewer/numbers/statistics.ts";

test("counts are of all elements, the rest of the finite ones", () => {
  const numbers = Float64Array.of(1, 2, 3, 0, 0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
  const found = statisticsOf(numbers);
  expect(found).toMatchObject({ count: 8, nan: 1, infinite: 2, zeros: 2, least: 0, most: 3, mean: 1.2 });
  expect(found.deviation).toBeCloseTo(1.16619, 5);
  expect(extremesOf(numbers)).toEqual([0, 3]);
});

test("large numbers keep their deviation, and the largest have a mean", () => {
  expect(statisticsOf(Float64Array.of(1e15, 1e15 + 2)).deviation).toBe(1);
  expect(statisticsOf(Float64Array.of(1.5e308, 1.5e308)).mean).toBe(1.5e308);
});

test("without a finite number there is nothing but counts", () => {
  const nothing = { least: undefined, most: undefined, mean: undefined, deviation: undefined };
  expect(statisticsOf(new Float32Array(0))).toEqual({ count: 0, nan: 0, infinite: 0, zeros: 0, ...nothing });
  expect(statisticsOf(Float32Array.of(Number.NaN))).toMatchObject({ count: 1, nan: 1, ...nothing });
  expect(extremesOf(Float32Array.of(Number.NaN))).toBeUndefined();
});
