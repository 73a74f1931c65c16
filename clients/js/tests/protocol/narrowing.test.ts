import { expect, test } from "vitest";
import { fromBfloat16, fromFloat16 } from "../../src/protocol/narrow_floats.ts";
import { toBfloat16, toFloat16 } from "../../src/protocol/narrowing.ts";

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
