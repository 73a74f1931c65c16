import { Tensor } from "@frys/client";
import { expect, test } from "vitest";
import { DEFAULTS, type Settings } from "../../../src/viewer/settings.ts";
import { pointedOf, presented, shownOf, viewportOf } from "../../../src/viewer/worker/presenting.ts";
import { type Plan, planOf } from "../../../src/viewer/worker/slicing_plan.ts";
import type { Version } from "../../../src/viewer/worker/version.ts";

function versionOf(tensor: Tensor, plan?: Plan, offset = 0): Version {
  const bytes = tensor.bytes.byteLength;
  return { offset, epoch: 1, bytes, timestampMs: 0, latencyS: 0, headers: null, names: [""], tensor, plan };
}

function shown(tensor: Tensor, changes: Partial<Settings> = {}, plan?: Plan) {
  const settings = { ...DEFAULTS, ...changes };
  const found = presented(versionOf(tensor, plan), undefined, settings);
  if (!found) {
    throw new Error("the version is not shown");
  }
  return { found, ...shownOf(found, settings, viewportOf(found, undefined, { width: 100, height: 100 })) };
}

const COUNTED = Tensor.from(
  Float32Array.from({ length: 24 }, (_, index) => index),
  [2, 3, 4],
);

test("a whole tensor is cut to what is shown; statistics are of that", () => {
  const { statistics, isWhole, taken, at } = shown(COUNTED, { at: { 0: 1 } });
  expect(statistics).toMatchObject({ count: 12, least: 12, most: 23 });
  expect([isWhole, taken, at]).toEqual([false, "[1, :, :]", { 0: 1 }]);
});

test("the element under the pointer has the index of the whole tensor", () => {
  const plan = planOf([100, 200], "heat", DEFAULTS, undefined, { width: 20, height: 10 });
  expect([plan.rows.step, plan.columns.step]).toEqual([10, 10]);
  const part = Tensor.from(
    Float32Array.from({ length: 200 }, (_, index) => index),
    [10, 20],
  );
  const { found } = shown(part, {}, plan);
  expect(pointedOf(found, [57, 131])).toMatchObject({ index: [50, 130], text: "113" });
  const { found: cube } = shown(COUNTED, { axes: [2, 0], at: { 1: 2 } });
  expect(pointedOf(cube, [3, 1])).toMatchObject({ index: [1, 2, 3], text: "23" });
});

test("the numbers around an element have gaps beyond the edge", () => {
  const { found } = shown(Tensor.from(Int32Array.of(1, 2, 3, 4), [2, 2]));
  const around = pointedOf(found, [0, 0])?.around;
  expect(around?.[2]).toEqual(["", "", "1", "2", ""]);
  expect(around?.[0]).toEqual(["", "", "", "", ""]);
});

test("64-bit integers are exact in the grid of numbers", () => {
  const { grid } = shown(Tensor.from(BigInt64Array.of(2n ** 62n + 1n, -5n), [1, 2]), { mode: "numbers" });
  expect(grid?.cells).toEqual([["4611686018427387905", "−5"]]);
});

test("a difference is to the version before, if the same elements came", () => {
  const settings = { ...DEFAULTS, difference: true };
  const before = versionOf(Tensor.from(Float32Array.of(1, 1), [1, 2]));
  const version = versionOf(Tensor.from(Float32Array.of(1, 4), [1, 2]), undefined, 1);
  const found = presented(version, before, settings);
  expect([...(found?.plane.numbers ?? [])]).toEqual([0, 3]);
  expect([found?.map, found?.range]).toEqual(["diverging", { low: -3, high: 3 }]);
  const other = versionOf(Tensor.from(Float32Array.of(1), [1, 1]));
  expect(presented(version, other, settings)?.before).toBeUndefined();
});

test("a version that came by a view of other dimensions is not shown", () => {
  const plan = planOf([2, 3, 4], "heat", DEFAULTS, undefined, { width: 100, height: 100 });
  const version = versionOf(Tensor.from(new Float32Array(12), [3, 4]), plan);
  expect(presented(version, undefined, { ...DEFAULTS, axes: [2, 0] })).toBeUndefined();
});

test("tensors without elements or dimensions are shown as numbers", () => {
  expect(shown(Tensor.from(new Float32Array(0), [0, 5]))).toMatchObject({ mode: "numbers", histogram: undefined });
  expect(shown(Tensor.from(Float64Array.of(2.5), [])).grid?.cells).toEqual([["2.5"]]);
});
