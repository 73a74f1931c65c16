import { expect, test } from "vitest";
import { RequestRefused } from "../../src/errors.ts";
import { tensorsOf } from "../../src/protocol/contents.ts";
import { parseData } from "../../src/protocol/data.ts";
import { codeOf, type Dtype } from "../../src/protocol/dtypes.ts";
import { iterFrames } from "../../src/protocol/frames.ts";
import { parseMeta } from "../../src/protocol/meta.ts";
import { dequantize } from "../../src/protocol/quantization.ts";
import { Tensor } from "../../src/protocol/tensors.ts";
import { load } from "../conformance/vectors.ts";

function restore(bytes: ArrayBufferView, dtype: Dtype, scale: number, zeroPoint: number): unknown[] {
  const quantization = { dtype_code: codeOf(dtype), scale, zero_point: zeroPoint };
  const restored = dequantize(Tensor.from(bytes), quantization);
  expect(restored.dtype).toBe(dtype);
  return restored.toNested() as unknown[];
}

test("numbers of a golden vector", () => {
  const message = load().find(({ name }) => name === "view-quantized")?.message ?? new Uint8Array(0);
  const [frame] = iterFrames(message);
  const found = parseData(message, frame);
  const [tensor] = tensorsOf(found, parseMeta(found.meta));
  const quantized = found.extensions?.quantized;
  expect(quantized).toBeDefined();
  if (quantized) {
    const integers = [...tensor.data].map(Number);
    expect(dequantize(tensor, quantized)).toMatchObject({ dtype: "float32", shape: tensor.shape });
    expect([...dequantize(tensor, quantized).data]).toEqual(
      integers.map((q) => Math.fround((q - quantized.zero_point) * quantized.scale)),
    );
  }
});

test("integers are rounded to even ones from the middle, and stay within their bounds", () => {
  const steps = Uint8Array.of(1, 3, 5, 255);
  for (const dtype of ["int8", "int16", "int32", "uint8", "uint16", "uint32"] as const) {
    expect(restore(steps, dtype, 0.5, 0).slice(0, 3)).toEqual([0, 2, 2]);
    const unsigned = dtype.startsWith("u");
    const bits = Number(dtype.replace(/\D/g, ""));
    expect(restore(steps, dtype, 1e300, 2)).toEqual(
      [unsigned ? 0 : -(2 ** (bits - 1)), 1, 1, 1].map((value) =>
        value === 1 ? 2 ** (bits - (unsigned ? 0 : 1)) - 1 : value,
      ),
    );
  }
  for (const dtype of ["int64", "uint64"] as const) {
    expect(restore(steps, dtype, 0.5, 0).slice(0, 3)).toEqual([0n, 2n, 2n]);
  }
  expect(restore(steps, "int64", 1e300, 2).slice(0, 2)).toEqual([-(2n ** 63n), 2n ** 63n - 1024n]);
  expect(restore(steps, "uint64", 1e300, 2).slice(0, 2)).toEqual([0n, 2n ** 64n - 2048n]);
  expect(restore(steps, "int64", Number.NaN, 0)).toEqual([0n, 0n, 0n, 0n]);
});

test("floating numbers of every width", () => {
  const steps = Int16Array.of(-1, 0, 3);
  expect(restore(steps, "float64", 0.1, 1)).toEqual([-0.2, -0.1, 0.2]);
  expect(restore(steps, "float32", 0.5, 1)).toEqual([-1, -0.5, 1]);
  expect(restore(steps, "float16", 0.5, 1)).toEqual([-1, -0.5, 1]);
  expect(restore(steps, "bfloat16", 0.5, 1)).toEqual([-1, -0.5, 1]);
  expect(restore(steps, "float64", Number.MAX_VALUE, 1)[0]).toBe(-Number.MAX_VALUE);
  expect(restore(steps, "float32", Number.MAX_VALUE, 1)[0]).toBe(Number.NEGATIVE_INFINITY);
});

test("dtypes that no integers stand for", () => {
  for (const code of [codeOf("bool"), codeOf("complex64"), 99]) {
    expect(() => dequantize(Tensor.from(Uint8Array.of(1)), { dtype_code: code, scale: 1, zero_point: 0 })).toThrow(
      RequestRefused,
    );
  }
  const complex = Tensor.from(Float32Array.of(1, 2), [1], { dtype: "complex64" });
  expect(() => dequantize(complex, { dtype_code: codeOf("float32"), scale: 1, zero_point: 0 })).toThrow(RequestRefused);
});
