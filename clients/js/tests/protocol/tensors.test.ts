import { afterEach, expect, test, vi } from "vitest";
import { Code, InvalidArgument, UnsupportedDtype, UsageError } from "../../src/errors.ts";
import { joined } from "../../src/protocol/buffers.ts";
import type { TensorSpec } from "../../src/protocol/meta.ts";
import { payloadOf, Tensor, viewTensors } from "../../src/protocol/tensors.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

function tensor(dtype: TensorSpec["dtype"], shape: number[], array: ArrayBufferView): Tensor {
  return Tensor.from(array, shape, { dtype });
}

test.each([
  [Float32Array.of(1, 2, 3, 4, 5, 6), "float32"],
  [BigInt64Array.of(1n, -2n, 3n, 4n, 5n, 2n ** 62n), "int64"],
  [BigUint64Array.of(1n, 2n, 3n, 4n, 5n, 2n ** 64n - 1n), "uint64"],
  [Float64Array.of(1, 2, 3, 4, 5, 6), "float64"],
  [Uint8ClampedArray.of(1, 2, 3, 4, 5, 6), "uint8"],
  [Int16Array.of(1, 2, 3, 4, 5, -6), "int16"],
  [Uint32Array.of(1, 2, 3, 4, 5, 2 ** 32 - 1), "uint32"],
])("%o is %s, over the same memory", (array, dtype) => {
  const made = Tensor.from(array, [2, 3]);
  expect(made).toMatchObject({ dtype, shape: [2, 3], strides: [3, 1], size: 6, name: "" });
  expect(made.data.buffer).toBe(array.buffer);
  expect(made.at(1, 2)).toBe(array[5]);
  expect(made.at(0, 1)).toBe(array[1]);
  expect([made.at(-1, -1), made.at(-2, 1), made.at(1, -3)]).toEqual([array[5], array[1], array[3]]);
});

test("a scalar, and a tensor without elements", () => {
  expect(Tensor.from(Float32Array.of(7), []).at()).toBe(7);
  const empty = Tensor.from(new Float32Array(0), [0, 3]);
  expect([empty.size, empty.strides, empty.data.length]).toEqual([0, [3, 1], 0]);
});

test("any other byte than 0 is true, and the received bytes stay as they are", () => {
  const bytes = Uint8Array.of(0, 1, 2);
  const made = tensor("bool", [3], bytes);
  expect([...made.data]).toEqual([0, 1, 1]);
  expect([0, 1, 2].map((index) => made.at(index))).toEqual([false, true, true]);
  expect(made.bytes[2]).toBe(2);
});

test("float16 is converted where the engine has no array of it", () => {
  vi.stubGlobal("Float16Array", undefined);
  const made = tensor("float16", [2], Uint16Array.of(0x3c00, 0xc000));
  expect(made.data).toEqual(Float32Array.of(1, -2));
  expect(made.data).toBe(made.data);
  expect([...made.bits]).toEqual([0x3c00, 0xc000]);
});

test("float16 is read in place where the engine has an array of it", () => {
  class Native extends Uint16Array {}
  vi.stubGlobal("Float16Array", Native);
  const bits = Uint16Array.of(0x3c00);
  const made = tensor("float16", [1], bits);
  expect(made.data).toBeInstanceOf(Native);
  expect(made.data.buffer).toBe(bits.buffer);
});

test("bfloat16 is converted, and has its bits", () => {
  const made = tensor("bfloat16", [2], Uint16Array.of(0x3f80, 0xc000));
  expect([made.at(0), made.at(1), [...made.bits]]).toEqual([1, -2, [0x3f80, 0xc000]]);
  expect(() => Tensor.from(Float32Array.of(1)).bits).toThrow(UsageError);
});

test.each([Float32Array, Float64Array])("complex numbers in %o have two parts", (Parts) => {
  const parts = Parts.of(1, 2, 3, 4);
  const made = tensor(Parts === Float32Array ? "complex64" : "complex128", [2], parts);
  expect(made.data).toEqual(parts);
  expect([made.real, made.imaginary]).toEqual([Parts.of(1, 3), Parts.of(2, 4)]);
  expect(made.at(1)).toEqual([3, 4]);
  expect(() => Tensor.from(parts).real).toThrow(UsageError);
});

test("a copy has memory of its own", () => {
  const array = Float32Array.of(1, 2);
  const copy = Tensor.from(array).copy();
  array[0] = 9;
  expect([...copy.data]).toEqual([1, 2]);
  expect(copy.bytes.buffer.byteLength).toBe(8);
});

test("bytes at any place in memory are read", () => {
  const bytes = new Uint8Array(17);
  bytes.set(new Uint8Array(Float64Array.of(1.5, -2).buffer), 1);
  const made = new Tensor({ name: "", dtype: "float64", shape: [2] }, bytes.subarray(1));
  expect([...made.data]).toEqual([1.5, -2]);
});

test("what cannot be a tensor", () => {
  expect(() => Tensor.from(Float32Array.of(1), [2])).toThrow(InvalidArgument);
  expect(() => Tensor.from(new DataView(new ArrayBuffer(8)))).toThrow(UnsupportedDtype);
  for (const indices of [[], [2], [-3], [0.5], [0, 0], [Number.NaN]]) {
    expect(() => Tensor.from(Float32Array.of(1, 2)).at(...indices)).toThrow("has no element");
  }
});

test("tensors of a payload are in place, on units of 8", () => {
  const one = Tensor.from(Uint8Array.of(1, 2, 3), [3], { name: "a" });
  const two = Tensor.from(Float64Array.of(4), [1], { name: "b" });
  const payload = joined(payloadOf([one, two]));
  const [first, second] = viewTensors([one, two], payload);
  expect([payload.byteLength, first.data, second.data]).toEqual([16, one.data, two.data]);
  expect(second.bytes.buffer).toBe(payload.buffer);
  expect(() => viewTensors([one, two], payload.subarray(1))).toThrow(
    expect.objectContaining({ code: Code.SIZE_MISMATCH }),
  );
});

test("a batch is one tensor of all records", () => {
  const spec: TensorSpec = { name: "", dtype: "uint8", shape: [2] };
  expect(viewTensors([spec], new Uint8Array(6), 3)[0].shape).toEqual([3, 2]);
  for (const [specs, count] of [
    [[], 1],
    [[spec, spec], 1],
    [[{ ...spec, shape: [2 ** 40] }], 2 ** 20],
  ] as const) {
    expect(() => viewTensors(specs, new Uint8Array(6), count)).toThrow(
      expect.objectContaining({ code: Code.INVALID_TENSOR }),
    );
  }
});
