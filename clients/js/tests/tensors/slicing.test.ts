/** Slices are those of numpy: compared with lists of lists that are cut dimension by dimension. */

import { expect, test } from "vitest";
import { InvalidArgument } from "../../src/errors.ts";
import { Tensor } from "../../src/protocol/tensors.ts";
import type { Nested } from "../../src/tensors/nesting.ts";
import type { Cut } from "../../src/tensors/slicing.ts";
import { Random } from "../random.ts";

const CUBE = Tensor.from(
  Float32Array.from({ length: 24 }, (_, index) => index),
  [2, 3, 4],
);

test.each<[Cut[], Nested<number>]>([
  [[1, 2, 3], 23],
  [[-1, -1, -1], 23],
  [
    [0, 0, [1, 3]],
    [1, 2],
  ],
  [
    [0, 1, [null, null, 2]],
    [4, 6],
  ],
  [
    [0, 1, [null, null, -1]],
    [7, 6, 5, 4],
  ],
  [
    [0, 1, [2, null, -1]],
    [6, 5, 4],
  ],
  [
    [0, 1, [-2, -4, -1]],
    [6, 5],
  ],
  [
    ["...", 0],
    [
      [0, 4, 8],
      [12, 16, 20],
    ],
  ],
  [
    [0, "...", 0],
    [0, 4, 8],
  ],
  [
    [1, [1]],
    [
      [16, 17, 18, 19],
      [20, 21, 22, 23],
    ],
  ],
  [[0, [2, 1]], []],
  [
    [0, [-9, 9], 0],
    [0, 4, 8],
  ],
  [[[null, null, 9], 0, [3, 4]], [[3]]],
])("numbers from 0 in shape [2, 3, 4], cut by %j", (cuts, expected) => {
  expect(CUBE.slice(...cuts).toNested()).toEqual(expected);
});

function cutOf(random: Random, dimension: number): Cut {
  const bound = () => (random.below(3) ? random.below(2 * dimension + 4) - dimension - 2 : null);
  if (dimension && !random.below(3)) {
    return random.below(2 * dimension) - dimension;
  }
  return [bound(), bound(), random.of([null, 1, 2, 3, -1, -2])];
}

/** Cut a list as numpy's documentation defines it, element by element. */
function cutList(list: Nested<number>, cuts: readonly Cut[]): Nested<number> {
  if (!Array.isArray(list) || !cuts.length) {
    return list;
  }
  const [cut, ...rest] = cuts;
  if (typeof cut === "number") {
    return cutList(list.at(cut), rest);
  }
  const [start, stop, step] = cut === "..." ? [] : cut;
  const stride = step ?? 1;
  const within = (bound: number) => (bound < 0 ? bound + list.length : bound);
  const first = start == null ? (stride > 0 ? 0 : list.length - 1) : within(start);
  const end = stop == null ? (stride > 0 ? list.length : -1) : Math.max(-1, within(stop));
  const found: Nested<number>[] = [];
  // A bound outside of the list is moved to its end, and not left out with the elements that are not there.
  const begin = stride > 0 ? Math.max(first, 0) : Math.min(first, list.length - 1);
  for (let index = begin; stride > 0 ? index < Math.min(end, list.length) : index > end; index += stride) {
    found.push(cutList(list[index], rest));
  }
  return found;
}

test.each(["uint8", "int16", "float32", "float64", "complex128"] as const)("random cuts of %s", (dtype) => {
  const random = new Random(7);
  for (let round = 0; round < 400; round++) {
    const shape = Array.from({ length: random.below(5) }, () => random.below(5));
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    const numbers = Array.from({ length: size }, (_, index) => index % 251);
    const memory = { uint8: Uint8Array, int16: Int16Array, float32: Float32Array, float64: Float64Array };
    const array =
      dtype === "complex128"
        ? Float64Array.from(numbers.flatMap((number) => [number, 0]))
        : memory[dtype].from(numbers);
    const tensor = Tensor.from(array, shape, { dtype });
    const whole = tensor.toNested() as Nested<number>;
    const cuts = shape.slice(0, random.below(shape.length + 1)).map((dimension) => cutOf(random, dimension));
    const part = tensor.slice(...cuts);
    const expected = cutList(whole, cuts.concat(shape.slice(cuts.length).map(() => [])));
    expect([cuts, part.toNested()]).toEqual([cuts, expected]);
  }
});

test("a run of memory is not copied, other elements are", () => {
  for (const cuts of [
    [1],
    [
      [0, 1],
      [1, 3],
    ],
    [1, 2, [1, 3]],
    [],
    [[0, 1], 2, 3],
  ] as const) {
    expect(CUBE.slice(...cuts).bytes.buffer).toBe(CUBE.bytes.buffer);
  }
  for (const cuts of [["...", 0], [[], [0, 2]], [[null, null, -1]]] as const) {
    expect(CUBE.slice(...cuts).bytes.buffer).not.toBe(CUBE.bytes.buffer);
  }
  expect(CUBE.slice([], [0, 2]).bytes.buffer.byteLength).toBe(2 * 2 * 4 * 4);
});

test("bytes that no word begins at are copied as bytes", () => {
  const bytes = new Uint8Array(33);
  bytes.set(new Uint8Array(Float64Array.of(1, 2, 3, 4).buffer), 1);
  for (const [dtype, count] of [
    ["float64", 4],
    ["float32", 8],
    ["int16", 16],
  ] as const) {
    const tensor = new Tensor({ name: "", dtype, shape: [count] }, bytes.subarray(1));
    expect(tensor.slice([null, null, 2]).toNested()).toEqual(
      (tensor.toNested() as number[]).filter((_, index) => index % 2 === 0),
    );
  }
});

test("cuts that do not fit", () => {
  for (const cuts of [
    [2],
    [-3],
    [0.5],
    [0, 0, 0, 0],
    ["...", "..."],
    [[0, 1, 0]],
    [[0.5]],
    [[0, 1, 1, 1] as unknown as Cut],
  ] as Cut[][]) {
    expect(() => CUBE.slice(...cuts)).toThrow(InvalidArgument);
  }
});
