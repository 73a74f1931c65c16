import { expect, test } from "vitest";
import { float16Of, fromBfloat16, fromFloat16 } from "../../src/protocol/narrow_floats.ts";

test.each([
  [0x0000, 0],
  [0x8000, -0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x7bff, 65504],
  [0x0001, 2 ** -24],
  [0x03ff, 1023 * 2 ** -24],
  [0x0400, 2 ** -14],
  [0x3555, 0.333251953125],
  [0x7c00, Number.POSITIVE_INFINITY],
  [0xfc00, Number.NEGATIVE_INFINITY],
  [0x7e00, Number.NaN],
])("float16 %i is %d", (bits, number) => {
  expect(float16Of(bits)).toBe(number);
  expect(fromFloat16(Uint16Array.of(bits))[0]).toBe(number);
});

test("bfloat16 is the upper half of float32", () => {
  expect([...fromBfloat16(Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x0001, 0x4049))]).toEqual([
    1,
    -2,
    Number.POSITIVE_INFINITY,
    2 ** -133,
    3.140625,
  ]);
});
