import { expect, test } from "vitest";
import { float16Of, fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from "../../src/protocol/narrow_floats.ts";

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

test("every float16 and bfloat16 has its bits", () => {
  for (const [to, from] of [
    [toFloat16, fromFloat16],
    [toBfloat16, fromBfloat16],
  ] as const) {
    const bits = Uint16Array.from({ length: 0x10000 }, (_, index) => index);
    const numbers = from(bits);
    const found = to(Float64Array.from(numbers));
    expect(bits.filter((wanted, index) => found[index] !== wanted && !Number.isNaN(numbers[index]))).toHaveLength(0);
    expect(from(found.filter((_, index) => Number.isNaN(numbers[index]))).every(Number.isNaN)).toBe(true);
  }
});

test("numbers between two float16 become the nearer, and the even one from the middle", () => {
  const bits = Uint16Array.from({ length: 0x7c00 }, (_, index) => index);
  const numbers = fromFloat16(bits);
  for (let low = 0; low < 0x7bff; low++) {
    const middle = (numbers[low] + numbers[low + 1]) / 2;
    const gap = numbers[low + 1] - numbers[low];
    const found = toFloat16(Float64Array.of(middle, middle - gap * 2 ** -30, middle + gap * 2 ** -30, -middle));
    const even = low % 2 ? low + 1 : low;
    expect([...found]).toEqual([even, low, low + 1, 0x8000 | even]);
  }
  expect([...toFloat16(Float64Array.of(65519.99, 65520, -1e300, 2 ** -25, 2 ** -25 * 1.001))]).toEqual([
    0x7bff, 0x7c00, 0xfc00, 0, 1,
  ]);
});
