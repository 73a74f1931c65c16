import { expect, test } from "vitest";
import { ticksOf } from "../../../src/viewer/numbers/ticks.ts";

test("ticks are round, and about as many as wanted", () => {
  expect(ticksOf(0, 10, 5)).toEqual([0, 2, 4, 6, 8, 10]);
  expect(ticksOf(-0.31, 0.29, 6)).toEqual([-0.3, -0.2, -0.1, 0, 0.1, 0.2]);
  expect(ticksOf(3, 3, 5)).toEqual([3]);
});
