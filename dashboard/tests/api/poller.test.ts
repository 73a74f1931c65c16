import { expect, test } from "vitest";
import { pauseAfter, pollerOf } from "../../src/api/poller.ts";

test("pauses become longer with failures, up to a bound", () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((failures) => pauseAfter(failures, 2000))).toEqual([
    2000, 2000, 4000, 8000, 10_000, 10_000, 10_000,
  ]);
  expect(pauseAfter(1, 100)).toBe(1000);
});

test("all users of a path share its poller, and those of paths that were left long ago are forgotten", () => {
  const first = pollerOf("/first", 1000);
  expect(pollerOf("/first", 1000)).toBe(first);
  expect(pollerOf("/first", 2000)).not.toBe(first);
  for (let number = 0; number < 64; number++) {
    pollerOf(`/${number}`, 1000);
  }
  expect(pollerOf("/first", 1000)).not.toBe(first);
});
