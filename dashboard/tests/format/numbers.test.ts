import { expect, test } from "vitest";
import { bytes, percent, perS, scaled, whole } from "../../src/format/numbers.ts";

test.each([
  [0, "0"],
  [0.000_51, "0.00051"],
  [0.5, "0.5"],
  [9.994, "9.99"],
  [99.96, "100"],
  [999.4, "999"],
  [999.5, "1 k"],
  [12_345, "12.3 k"],
  [-2_500_000, "−2.5 M"],
  [1e21, "1000000 P"],
  [Number.POSITIVE_INFINITY, "∞"],
  [Number.NaN, "–"],
  [null, "–"],
  [undefined, "–"],
])("%s is %s", (value, text) => {
  expect(scaled(value)).toBe(text);
});

test("units and whole numbers", () => {
  expect([bytes(1_500), bytes(0), perS(12), percent(0.123), whole(1_234_567), whole(null)]).toEqual([
    "1.5 kB",
    "0 B",
    "12 /s",
    "12.3 %",
    "1,234,567",
    "–",
  ]);
});
