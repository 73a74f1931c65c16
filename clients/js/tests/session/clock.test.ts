import { expect, test } from "vitest";
import { drawnNumber, SYSTEM_CLOCK } from "../../src/session/clock.ts";
import { FakeClock } from "../fakes.ts";

test("the clock of the machine tells Unix time, and calls back once", async () => {
  expect(Math.abs(Number(SYSTEM_CLOCK.localNs()) / 1e6 - Date.now())).toBeLessThan(60_000);
  const cancelled = SYSTEM_CLOCK.after(0, () => expect.unreachable());
  cancelled.cancel();
  await new Promise<void>((resolve) => SYSTEM_CLOCK.after(1, resolve));
  expect(SYSTEM_CLOCK.nowMs()).toBeGreaterThan(0);
  expect(SYSTEM_CLOCK.random()).toBeLessThan(1);
});

test.each([0, 0.5, 0.9999999999999999])("drawn numbers are from 1 to 2^53: %d", (drawn) => {
  const clock = new FakeClock();
  clock.drawn = drawn;
  const number = drawnNumber(clock);
  expect(number >= 1 && Number.isSafeInteger(number)).toBe(true);
});
