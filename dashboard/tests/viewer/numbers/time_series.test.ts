import { expect, test } from "vitest";
import { joined, type Point, smoothed, TimeSeries, thinned } from "../../../src/viewer/numbers/time_series.ts";

const point = (offset: number, value = offset, step = offset): Point => ({ offset, timeS: offset / 10, step, value });

test("a full ring gives up its oldest points", () => {
  const series = new TimeSeries(3);
  for (let offset = 0; offset < 5; offset++) {
    series.add(point(offset));
  }
  expect([0, 1, 2].map((index) => series.at(index).offset)).toEqual([2, 3, 4]);
  expect(series.size).toBe(3);
  expect(series.newest?.value).toBe(4);
  series.clear();
  expect(series.newest).toBeUndefined();
});

test.each([0, 1, 2, 3, 4, 7, 9])("a column has the points in order, after %i of a ring of 3", (count) => {
  const series = new TimeSeries(3);
  for (let offset = 0; offset < count; offset++) {
    series.add(point(offset, -offset));
  }
  const expected = Array.from({ length: series.size }, (_, index) => series.at(index));
  expect([...series.column("offset")]).toEqual(expected.map(({ offset }) => offset));
  expect([...series.column("value")]).toEqual(expected.map(({ value }) => value));
});

test("a point that comes again, from history, is not added twice", () => {
  const series = new TimeSeries(10);
  for (const offset of [0, 1, 1, 0, 2]) {
    series.add(point(offset));
  }
  expect(series.size).toBe(3);
});

test("a series has steps if every point has one", () => {
  const series = new TimeSeries(10);
  expect(series.hasSteps).toBe(false);
  series.add(point(0));
  expect(series.hasSteps).toBe(true);
  series.add(point(1, 1, Number.NaN));
  expect(series.hasSteps).toBe(false);
});

test("smoothing begins at the first value, keeps what is constant, and leaves gaps", () => {
  const smooth = (values: number[], share: number): number[] => [...smoothed(values, share)];
  expect(smooth([5, 5, 5], 0.9)).toEqual([5, 5, 5].map((value) => expect.closeTo(value)));
  expect(smooth([1, 2, 3], 0)).toEqual([1, 2, 3]);
  expect(smooth([0, 1], 0.5)).toEqual([0, expect.closeTo(2 / 3)]);
  expect(smooth([1, Number.NaN, 1], 0.5)).toEqual([1, Number.NaN, expect.closeTo(1)]);
});

test("a thinned curve keeps its extremes and its order", () => {
  const x = Array.from({ length: 10_000 }, (_, index) => index);
  const y = x.map((place) => (place === 5000 ? 99 : place === 5001 ? -99 : Math.sin(place / 500)));
  const thin = thinned({ x, y }, 100);
  expect(thin.x.length).toBeLessThanOrEqual(200);
  expect([Math.max(...thin.y), Math.min(...thin.y)]).toEqual([99, -99]);
  expect(thin.x).toEqual([...thin.x].sort((a, b) => a - b));
  expect(thinned({ x: [1, 2], y: [3, 4] }, 100)).toEqual({ x: [1, 2], y: [3, 4] });
});

test("joined curves share an axis, with gaps where one has no point", () => {
  expect(
    joined([
      { x: [1, 3], y: [10, 30] },
      { x: [2, 3], y: [20, 33] },
    ]),
  ).toEqual([
    [1, 2, 3],
    [10, null, 30],
    [null, 20, 33],
  ]);
});
