import { Tensor } from "@frys/client";
import { expect, test } from "vitest";
import { differenceOf, numbersOf, planeOf } from "../../../src/viewer/numbers/plane.ts";

test("64-bit integers and narrow floats become numbers", () => {
  expect(numbersOf(Tensor.from(BigInt64Array.of(-3n, 2n)), "magnitude")).toEqual(Float64Array.of(-3, 2));
  const half = Tensor.from(Uint16Array.of(0x3c00, 0xc000), [2], { dtype: "float16" });
  expect(numbersOf(half, "magnitude")).toEqual(Float32Array.of(1, -2));
  expect(numbersOf(Tensor.from(Uint8Array.of(0, 1), [2], { dtype: "bool" }), "magnitude")).toEqual(Uint8Array.of(0, 1));
});

test("complex numbers are shown by one of their parts", () => {
  const tensor = Tensor.from(Float32Array.of(3, 4, 0, -1), [2], { dtype: "complex64" });
  expect([...numbersOf(tensor, "magnitude")]).toEqual([5, 1]);
  expect([...numbersOf(tensor, "real")]).toEqual([3, 0]);
  expect([...numbersOf(tensor, "imaginary")]).toEqual([4, -1]);
  expect(numbersOf(tensor, "phase")[1]).toBeCloseTo(-Math.PI / 2);
});

test("a difference of unsigned bytes may be negative", () => {
  expect([...differenceOf(Uint8Array.of(1, 250), Uint8Array.of(3, 0))]).toEqual([-2, 250]);
});

test("a plane reads rows and columns wherever they lie", () => {
  const numbers = Float64Array.of(0, 1, 2, 3, 4, 5);
  expect(planeOf(numbers, [2, 3], ["rows", "columns"])).toMatchObject({
    rows: 2,
    columns: 3,
    rowStride: 3,
    columnStride: 1,
  });
  expect(planeOf(numbers, [2, 3], ["columns", "rows"])).toMatchObject({
    rows: 3,
    columns: 2,
    rowStride: 1,
    columnStride: 3,
  });
  expect(planeOf(numbers, [6], ["columns"])).toMatchObject({ rows: 1, columns: 6, channels: 1 });
  expect(planeOf(numbers, [1, 2, 3], ["rows", "columns", "channels"])).toMatchObject({ channels: 3, columnStride: 3 });
});
