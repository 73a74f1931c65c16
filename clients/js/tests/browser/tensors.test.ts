/** Arrays and images as a real engine has them. */

import { expect, test } from "vitest";
import { Tensor } from "../../src/protocol/tensors.ts";

test("float16 is read in place", () => {
  const bits = Uint16Array.of(0x3c00, 0xc000);
  const tensor = Tensor.from(bits, [2], { dtype: "float16" });
  expect(tensor.data).toBeInstanceOf(Float16Array);
  expect([...tensor.data]).toEqual([1, -2]);
  expect(tensor.data.buffer).toBe(bits.buffer);
});

test("an array of float16 is a tensor", () => {
  expect(Tensor.from(new Float16Array([0.5, 2])).dtype).toBe("float16");
});

test("a canvas shows the colours of numbers", () => {
  const context = new OffscreenCanvas(3, 2).getContext("2d");
  const image = Tensor.from(Float32Array.of(0, 1, 2, 3, Number.NaN, 255), [2, 3]).toImageData({
    colormap: "gray",
    low: 0,
  });
  context?.putImageData(image, 0, 0);
  expect([...(context?.getImageData(0, 0, 3, 2).data ?? [])]).toEqual(
    [0, 1, 2, 3, undefined, 255].flatMap((gray) => (gray === undefined ? [0, 0, 0, 0] : [gray, gray, gray, 255])),
  );
});
