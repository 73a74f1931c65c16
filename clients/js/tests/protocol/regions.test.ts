import { expect, test } from "vitest";
import { Code, InvalidArgument } from "../../src/errors.ts";
import { applyPatch, checkRegion, extentsOf, type RegionKey, type Sizes, shapeOf } from "../../src/protocol/regions.ts";

test.each<[RegionKey, Sizes | undefined, string]>([
  [[3, [1, 4]], undefined, "3:1:1 1:3:1"],
  [[[0, 10, 4]], undefined, "0:3:4"],
  [[[5, 2]], undefined, "5:0:1"],
  [[-1, [null, null]], [8, 4], "7:1:1 0:4:1"],
  [[[-3, null, 2]], [10], "7:2:2"],
  [["...", 2], [3, 4, 5], "0:3:1 0:4:1 2:1:1"],
  [[1], [3, 4], "1:1:1 0:4:1"],
  [[], [2], "0:2:1"],
  [["..."], [], ""],
])("%j of shape %j", (key, shape, expected) => {
  const extents = extentsOf(key, shape);
  expect(extents.map(({ start, count, step }) => `${start}:${count}:${step}`).join(" ")).toBe(expected);
});

test.each<[RegionKey, Sizes | undefined]>([
  [["..."], undefined],
  [[-1], undefined],
  [[[0, null]], undefined],
  [["...", "..."], [2]],
  [[1, 1], [2]],
  [[2], [2]],
  [[[0, 3]], [2]],
  [[-3], [2]],
  [[[0, 2, 0]], [2]],
  [[0.5], [2]],
])("%j of shape %j is refused", (key, shape) => {
  expect(() => extentsOf(key, shape)).toThrow(InvalidArgument);
});

test("a patch replaces what its region selects, and nothing else", () => {
  const spec = { name: "", dtype: "int16", shape: [4, 5] } as const;
  const state = Int16Array.from({ length: 20 }, (_, index) => index);
  const expected = state.slice();
  const patch = Int16Array.of(-1, -2, -3, -4);
  [5 + 1, 5 + 3, 15 + 1, 15 + 3].forEach((at, index) => {
    expected[at] = patch[index];
  });
  const extents = extentsOf([
    [1, 4, 2],
    [1, 4, 2],
  ]);
  applyPatch(new Uint8Array(state.buffer), spec, extents, new Uint8Array(patch.buffer));
  expect([state, shapeOf(extents)]).toEqual([expected, [2, 2]]);
  const rows = extentsOf([2], [4, 5]);
  applyPatch(new Uint8Array(state.buffer), spec, rows, new Uint8Array(10).fill(0xff));
  expect([...state.subarray(10, 15)]).toEqual([-1, -1, -1, -1, -1]);
});

test("a scalar, and a region of nothing", () => {
  const state = new Uint8Array(1);
  applyPatch(state, { name: "", dtype: "uint8", shape: [] }, [], Uint8Array.of(9));
  applyPatch(state, { name: "", dtype: "uint8", shape: [1] }, extentsOf([[0, 0]]), new Uint8Array(0));
  expect([...state]).toEqual([9]);
});

test("a region outside of the tensor, and a patch of another size, are refused", () => {
  const refused = expect.objectContaining({ code: Code.INVALID_REGION });
  expect(() => checkRegion(extentsOf([[0, 3]]), [2])).toThrow(refused);
  expect(() => checkRegion(extentsOf([0]), [2, 2])).toThrow(refused);
  const spec = { name: "", dtype: "uint8", shape: [2] } as const;
  expect(() => applyPatch(new Uint8Array(2), spec, extentsOf([0]), new Uint8Array(2))).toThrow(refused);
});
