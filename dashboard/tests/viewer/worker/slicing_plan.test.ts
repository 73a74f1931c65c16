import { expect, test } from "vitest";
import { DEFAULTS } from "../../../src/viewer/settings.ts";
import {
  countOf,
  cutOf,
  fittingMode,
  isOf,
  isWhole,
  planOf,
  planText,
  sliceOf,
} from "../../../src/viewer/worker/slicing_plan.ts";

const CANVAS = { width: 700, height: 500 };

test("a canvas gets one element for each of its pixels, and less than two more", () => {
  const plan = planOf([10_000, 10_000], "heat", DEFAULTS, undefined, CANVAS);
  expect(sliceOf(plan)).toEqual([
    [null, null, 20],
    [null, null, 20],
  ]);
  expect(planText(plan)).toBe("[::20, ::20]");
  expect(isWhole(plan)).toBe(false);
  for (const pixels of [1, 7, 499, 500, 501, 2000]) {
    const count = countOf(cutOf(1000, 0, 1000, pixels));
    expect(count).toBeGreaterThanOrEqual(Math.min(1000, pixels));
    expect(count).toBeLessThanOrEqual(2 * pixels);
  }
});

test("what is small comes whole, without a slice", () => {
  const plan = planOf([300, 400], "heat", DEFAULTS, undefined, CANVAS);
  expect(isWhole(plan)).toBe(true);
  expect(sliceOf(plan)).toBeUndefined();
});

test("a part that is zoomed into comes finer; its elements are multiples of the step", () => {
  const zoom = { top: 4000.5, bottom: 4500, left: 9000, right: 10_400 };
  const plan = planOf([10_000, 10_000], "heat", DEFAULTS, zoom, CANVAS);
  expect(sliceOf(plan)).toEqual([
    [4000, 4500, null],
    [9000, null, 2],
  ]);
  expect(cutOf(10_000, 101, 1501, 700)).toEqual({ start: 100, stop: 1501, step: 2 });
});

test("a canvas beside the tensor gets one element, not none", () => {
  expect(countOf(cutOf(100, 200, 300, 50))).toBe(1);
});

test("other dimensions have one index, which stays within them", () => {
  const plan = planOf([6, 4, 64, 96], "heat", { ...DEFAULTS, axes: [2, 0], at: { 1: 9, 3: 5 } }, undefined, CANVAS);
  expect(sliceOf(plan)).toEqual([[null, null, null], 3, [null, null, null], 5]);
  expect(plan.meanings).toEqual(["columns", "rows"]);
});

test("an image keeps its channels", () => {
  const plan = planOf([2000, 2000, 3], "image", DEFAULTS, undefined, CANVAS);
  expect(plan.meanings).toEqual(["rows", "columns", "channels"]);
  expect(sliceOf(plan)).toEqual([
    [null, null, 4],
    [null, null, 4],
    [null, null, null],
  ]);
});

test("a line plot has eight rows at most, and numbers a window of cells", () => {
  expect(countOf(planOf([1000, 50], "line", DEFAULTS, undefined, CANVAS).rows)).toBeLessThanOrEqual(8);
  const grid = planOf([1000, 50], "numbers", { ...DEFAULTS, cell: [995, 48] }, undefined, { width: 7, height: 20 });
  expect(sliceOf(grid)).toEqual([
    [995, null, null],
    [48, null, null],
  ]);
  expect(planOf([500], "numbers", DEFAULTS, undefined, { width: 7, height: 20 }).meanings).toEqual(["rows"]);
});

test("the mode follows rank and dtype, and a wish where it can", () => {
  expect(fittingMode(undefined, [], "float32")).toBe("numbers");
  expect(fittingMode(undefined, [0, 5], "float32")).toBe("numbers");
  expect(fittingMode(undefined, [5], "float32")).toBe("line");
  expect(fittingMode(undefined, [5, 5], "bool")).toBe("heat");
  expect(fittingMode(undefined, [5, 5, 3], "uint8")).toBe("image");
  expect(fittingMode(undefined, [5, 5, 3], "float32")).toBe("heat");
  expect(fittingMode("image", [5, 5, 4], "float32")).toBe("image");
  expect(fittingMode("image", [5, 5], "uint8")).toBe("heat");
  expect(fittingMode("line", [5, 5], "float32")).toBe("line");
});

test("a part of another shape is not the plan's", () => {
  const plan = planOf(
    [6, 4, 64, 96],
    "heat",
    DEFAULTS,
    { top: 0, bottom: 64, left: 0, right: 96 },
    { width: 50, height: 20 },
  );
  expect(isOf(plan, [22, 96])).toBe(true);
  expect(isOf(plan, [22, 95])).toBe(false);
});
