import { expect, test, vi } from "vitest";
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

test.each([2 ** 31, 2 ** 32, Number.POSITIVE_INFINITY])(
  "a time that no timer of the platform takes does not pass at once: %d",
  (delayMs) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const called = vi.fn();
      SYSTEM_CLOCK.after(delayMs, called);
      vi.advanceTimersByTime(2 ** 31 - 1);
      expect([called.mock.calls.length, vi.getTimerCount()]).toEqual([0, 1]);
      vi.advanceTimersByTime(2 ** 32);
      expect(called).toHaveBeenCalledTimes(Number.isFinite(delayMs) ? 1 : 0);
      const cancelled = SYSTEM_CLOCK.after(delayMs, called);
      vi.advanceTimersByTime(2 ** 31 - 1);
      cancelled.cancel();
    } finally {
      vi.useRealTimers();
    }
  },
);

test("a page gives way without a timer, which a hidden page would hold back", async () => {
  vi.stubGlobal("document", {});
  vi.stubGlobal("setTimeout", () => expect.unreachable());
  try {
    SYSTEM_CLOCK.after(0, () => expect.unreachable()).cancel();
    await new Promise<void>((resolve) => SYSTEM_CLOCK.after(0, resolve));
    await new Promise<void>((resolve) => SYSTEM_CLOCK.after(0, resolve));
  } finally {
    vi.unstubAllGlobals();
  }
});
