import { expect, test } from "vitest";
import { pauseAfter } from "../../src/api/poller.ts";

test("pauses become longer with failures, up to a bound", () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((failures) => pauseAfter(failures, 2000))).toEqual([
    2000, 2000, 4000, 8000, 10_000, 10_000, 10_000,
  ]);
  expect(pauseAfter(1, 100)).toBe(1000);
});
