import { expect, test, vi } from "vitest";
import { TimeLimit } from "../../src/session/time_limit.ts";
import { FakeClock } from "../fakes.ts";

test("a limit passes once, behind a last look at what has come", async () => {
  const [clock, passed] = [new FakeClock(), vi.fn()];
  new TimeLimit(clock, 1000, passed);
  await clock.pass(1010);
  expect(passed).not.toHaveBeenCalled();
  await clock.pass(2000);
  expect(passed).toHaveBeenCalledTimes(1);
});

test("progress begins it anew, and it can be stopped", async () => {
  const [clock, passed] = [new FakeClock(), vi.fn()];
  const limit = new TimeLimit(clock, 1000, passed);
  for (let rounds = 0; rounds < 5; rounds++) {
    await clock.pass(900);
    limit.progressed();
  }
  limit.stop();
  new TimeLimit(clock, Number.POSITIVE_INFINITY, passed);
  await clock.pass(100_000);
  expect(passed).not.toHaveBeenCalled();
});

test("time in which the event loop was held up does not count", async () => {
  const [clock, passed] = [new FakeClock(), vi.fn()];
  new TimeLimit(clock, 1000, passed);
  clock.ms = 61_000; // the timer fires a minute late
  await clock.pass(10);
  expect(passed).not.toHaveBeenCalled();
  await clock.pass(120_000);
  expect(passed).toHaveBeenCalledTimes(1);
});
