import { expect, test } from "vitest";
import { exactText, shortText } from "../../../src/viewer/numbers/exact_text.ts";

test.each([
  [Math.fround(0.1), "float32", "0.1"],
  [Math.fround(16_777_217), "float32", "16777216"],
  [0.1, "float64", "0.1"],
  [0.1 + 0.2, "float64", "0.30000000000000004"],
  [0.0999755859375, "float16", "0.1"],
  [0.10009765625, "bfloat16", "0.1"],
  [2 ** -24, "float16", "6e−8"],
  [-0, "float32", "−0"],
  [Number.NaN, "float32", "NaN"],
  [Number.NEGATIVE_INFINITY, "float64", "−∞"],
  [2n ** 63n - 1n, "int64", "9223372036854775807"],
  [-5n, "int64", "−5"],
  [18446744073709551615n, "uint64", "18446744073709551615"],
  [true, "bool", "true"],
  [255, "uint8", "255"],
  [[Math.fround(0.1), -2], "complex64", "0.1 − 2i"],
  [[1, 0], "complex128", "1 + 0i"],
] as const)("%s of %s is %s", (element, dtype, text) => {
  expect(exactText(element, dtype)).toBe(text);
});

test("every float32 is told from its neighbours", () => {
  const bits = new Uint32Array(1);
  const number = new Float32Array(bits.buffer);
  for (let round = 0; round < 2000; round++) {
    bits[0] = (round * 2_654_435_761) >>> 0;
    const text = exactText(number[0], "float32").replace("−", "-").replace("e−", "e-");
    expect(text === "NaN" || Math.fround(Number(text)) === number[0]).toBe(true);
  }
});

test("labels are short, and 0 beside much larger numbers", () => {
  expect([shortText(1234.5678), shortText(-0.00001), shortText(2e9), shortText(undefined)]).toEqual([
    "1234.6",
    "−1.000e−5",
    "2.000e9",
    "–",
  ]);
  expect([shortText(-7.5e-6, 2), shortText(0.5, 2)]).toEqual(["0", "0.5"]);
});
