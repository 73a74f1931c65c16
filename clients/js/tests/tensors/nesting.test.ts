import { expect, test } from "vitest";
import { InvalidArgument } from "../../src/errors.ts";
import { Tensor } from "../../src/protocol/tensors.ts";
import { nested } from "../../src/tensors/nesting.ts";

test("a list for each dimension, in row-major order", () => {
  const letters = (shape: number[]) => nested(shape, (position) => "abcdef"[position]);
  expect(letters([2, 3])).toEqual([
    ["a", "b", "c"],
    ["d", "e", "f"],
  ]);
  expect(letters([3, 1])).toEqual([["a"], ["b"], ["c"]]);
  expect(letters([])).toBe("a");
  expect(letters([2, 0])).toEqual([[], []]);
});

test("elements are those that a program reads one by one", () => {
  expect(Tensor.from(BigInt64Array.of(-1n), [1, 1]).toNested()).toEqual([[-1n]]);
  expect(Tensor.from(Uint8Array.of(0, 2), [2], { dtype: "bool" }).toNested()).toEqual([false, true]);
  expect(Tensor.from(Float32Array.of(1, 2), [1], { dtype: "complex64" }).toNested()).toEqual([[1, 2]]);
  expect(Tensor.from(Uint16Array.of(0x3f80), [1], { dtype: "bfloat16" }).toNested()).toEqual([1]);
});

test("a tensor without elements asks for no endless lists", () => {
  const element = () => 0;
  expect(nested([1 << 16, 0, 2 ** 40], element)).toHaveLength(1 << 16);
  for (const shape of [
    [2 ** 17, 0],
    [2 ** 9, 2 ** 9, 0],
    [2 ** 50, 0],
  ]) {
    expect(() => nested(shape, element)).toThrow(InvalidArgument);
  }
});
