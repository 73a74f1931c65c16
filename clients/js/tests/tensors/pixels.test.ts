import { afterEach, expect, test, vi } from "vitest";
import { InvalidArgument, UsageError } from "../../src/errors.ts";
import { Tensor } from "../../src/protocol/tensors.ts";
import { type PixelOptions, pixelsOf } from "../../src/tensors/pixels.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Return the levels of gray of numbers, and -1 for those that are transparent. */
function graysOf(numbers: ArrayLike<number> | ArrayLike<bigint>, options: PixelOptions = {}): number[] {
  const { data } = pixelsOf(numbers, [1, numbers.length], { colormap: "gray", ...options });
  return Array.from({ length: numbers.length }, (_, index) => (data[4 * index + 3] ? data[4 * index] : -1));
}

test("numbers have colours from the lowest to the highest finite one", () => {
  expect(graysOf(Float32Array.of(-1, 0, 1))).toEqual([0, 128, 255]);
  expect(graysOf(Float64Array.of(Number.NaN, 2, Number.POSITIVE_INFINITY, 4, Number.NEGATIVE_INFINITY))).toEqual([
    -1, 0, 255, 255, 0,
  ]);
  expect(graysOf(BigInt64Array.of(0n, 2n ** 62n))).toEqual([0, 255]);
  expect(graysOf(Float64Array.of(-Number.MAX_VALUE, 0, Number.MAX_VALUE))).toEqual([0, 128, 255]);
});

test("a range of one's own", () => {
  expect(graysOf(Float32Array.of(-9, 0, 5, 10, 11), { low: 0, high: 10 })).toEqual([0, 0, 128, 255, 255]);
  expect(graysOf(Float32Array.of(5, 10), { low: 0 })).toEqual([128, 255]);
  expect(graysOf(Float32Array.of(5, 10), { low: 20 })).toEqual([0, 0]);
  expect(graysOf(Float32Array.of(5, 10), { high: 1 })).toEqual([0, 0]);
  for (const [low, high] of [
    [1, 0],
    [Number.NaN, 1],
  ]) {
    expect(() => graysOf(Float32Array.of(1), { low, high })).toThrow(InvalidArgument);
  }
});

test("numbers of one value have the first colour", () => {
  expect(graysOf(Float32Array.of(3, 3))).toEqual([0, 0]);
  expect(graysOf(Float32Array.of(Number.NaN))).toEqual([-1]);
});

test("channels stay as they are", () => {
  const rgb = Uint8Array.of(1, 2, 3, 4, 5, 6);
  expect(pixelsOf(rgb, [2, 1, 3])).toEqual({
    data: Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255),
    width: 1,
    height: 2,
  });
  expect([...pixelsOf(Float32Array.of(0, 1, 2, 0.5), [1, 1, 4]).data]).toEqual([0, 255, 255, 128]);
});

test("other shapes are no images", () => {
  for (const shape of [[], [4], [1, 2, 2], [1, 1, 1, 4]]) {
    expect(() => pixelsOf(new Float32Array(4), shape)).toThrow(InvalidArgument);
  }
  expect(() => Tensor.from(new Float32Array(8), [2, 2], { dtype: "complex64" }).toPixels()).toThrow(InvalidArgument);
});

test("an image is made where the engine has images", () => {
  const tensor = Tensor.from(Float32Array.of(0, 1), [1, 2]);
  expect(() => tensor.toImageData()).toThrow(UsageError);
  const made = vi.fn();
  vi.stubGlobal(
    "ImageData",
    class {
      constructor(...args: unknown[]) {
        made(...args);
      }
    },
  );
  tensor.toImageData({ colormap: "gray" });
  expect(made).toHaveBeenCalledExactlyOnceWith(Uint8ClampedArray.of(0, 0, 0, 255, 255, 255, 255, 255), 2, 1);
  expect(() => Tensor.from(new Float32Array(0), [0, 2]).toImageData()).toThrow(InvalidArgument);
});
