import { expect, test } from "vitest";
import { DEFAULT_BACKOFF, pauseMs, RefusalPauses } from "../../src/session/backoff.ts";
import { FakeClock } from "../fakes.ts";

test.each([
  ["reconnect", 0, undefined, 125],
  ["reconnect", 100, undefined, 10_000],
  ["reconnect_later", 0, undefined, 2125],
  ["reconnect", 5, 3, 3125],
  ["reconnect", 5, 1e9, 120_125],
] as const)("pause before %s, attempt %d, after %s s", (action, attempt, retryAfterS, expected) => {
  expect(pauseMs(DEFAULT_BACKOFF, action, attempt, new FakeClock(), retryAfterS)).toBe(expected);
});

test("pauses after refusals in a row grow up to a second, and begin anew when a message is taken", async () => {
  const clock = new FakeClock();
  clock.drawn = 1;
  const pauses = new RefusalPauses(clock);
  const drawn = Array.from({ length: 10 }, () => pauses.refused("reconnect_later"));
  expect(drawn).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
  pauses.taken();
  expect(pauses.refused("reconnect")).toBe(5);
  await clock.pass(2000);
  expect(pauses.refused("reconnect")).toBe(5);
});
