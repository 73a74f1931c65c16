import { expect, test, vi } from "vitest";
import { Reports } from "../src/report.ts";
import { FakeClock, settled } from "./fakes.ts";

test("errors go to the callback, and are logged without one, at most one a second", async () => {
  const clock = new FakeClock();
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  try {
    const onError = vi.fn();
    new Reports(clock, onError).report("no error at all");
    expect(onError.mock.calls[0][0].message).toBe("no error at all");
    const reports = new Reports(clock);
    reports.report(new Error("one"));
    reports.report(new Error("two"));
    await clock.pass(1000);
    reports.report(new Error("three"));
    expect(warn.mock.calls.map(([, error]) => error.message)).toEqual(["one", "three"]);
  } finally {
    warn.mockRestore();
  }
});

test("what a callback throws, at once or later, is logged and has no other effect", async () => {
  const clock = new FakeClock();
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  try {
    const reports = new Reports(clock);
    reports.call(() => {
      throw new Error("at once");
    });
    await clock.pass(1000);
    reports.call(() => Promise.reject(new Error("later")));
    await settled();
    expect(warn.mock.calls.map(([, error]) => error.message)).toEqual(["at once", "later"]);
  } finally {
    warn.mockRestore();
  }
});
