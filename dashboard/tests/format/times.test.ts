import { expect, test } from "vitest";
import { axisTime, duration, exactClockTime } from "../../src/format/times.ts";

test.each([
  [0, "0 s"],
  [3e-9, "0 µs"],
  [12e-6, "12 µs"],
  [0.0015, "1.5 ms"],
  [0.9996, "1 s"],
  [59.94, "59.9 s"],
  [59.96, "1 min"],
  [185, "3 min 5 s"],
  [3599.6, "1 h"],
  [7_260, "2 h 1 min"],
  [180_000, "2 d 2 h"],
  [-2, "−2 s"],
  [null, "–"],
  [Number.POSITIVE_INFINITY, "∞"],
])("%s s is %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test("an exact time of the day has milliseconds", () => {
  expect(exactClockTime(1_770_000_000.007)).toMatch(/^\d\d:\d\d:\d\d\.007$/);
});

test("a time on an axis has no seconds, or parts of them, that are none", () => {
  expect(axisTime(1_770_000_000)).toMatch(/^\d\d:\d\d$/);
  expect(axisTime(1_770_000_007)).toMatch(/^\d\d:\d\d:07$/);
  expect(axisTime(1_770_000_007.5)).toMatch(/^\d\d:\d\d:07\.500$/);
});
