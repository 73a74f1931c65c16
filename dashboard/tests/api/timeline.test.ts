import { expect, test } from "vitest";
import { isContinued, joined, type TimelineData } from "../../src/api/timeline.ts";

function timeline(times_s: readonly number[], start_s = 5, interval_s = 1): TimelineData {
  return { start_s, now_s: 100, interval_s, times_s, series: { a: times_s.map((timeS) => 10 * timeS) } };
}

test("newer samples follow older ones, each once, and the oldest go", () => {
  const found = joined(timeline([1.5, 2.5, 3.5]), timeline([3.5, 4.5]), 3);
  expect(found.times_s).toEqual([2.5, 3.5, 4.5]);
  expect(found.series).toEqual({ a: [25, 35, 45] });
});

test("nothing newer changes nothing", () => {
  expect(joined(timeline([1, 2]), timeline([]), 9).times_s).toEqual([1, 2]);
});

test("samples of another gateway, or of another resolution, replace all", () => {
  expect(joined(timeline([1, 2]), timeline([3], 6), 9).times_s).toEqual([3]);
  expect(joined(timeline([1, 2]), timeline([3], 5, 10), 9).times_s).toEqual([3]);
  expect(joined(undefined, timeline([3]), 9).times_s).toEqual([3]);
});

test("samples do not continue those of another gateway, nor those of a clock that was set back", () => {
  expect(isContinued(timeline([98, 100]), timeline([]))).toBe(true);
  expect(isContinued(undefined, timeline([1]))).toBe(true);
  expect(isContinued(timeline([1, 2]), timeline([3], 6))).toBe(false);
  expect(isContinued(timeline([1, 101]), timeline([]))).toBe(false);
});
