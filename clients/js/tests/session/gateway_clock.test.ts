import { expect, test } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import { GatewayClock } from "../../src/session/gateway_clock.ts";
import { FakeClock } from "../fakes.ts";

test("before an exchange it is the clock of the machine, then that of the gateway", () => {
  const machine = new FakeClock();
  const clock = new GatewayClock(machine);
  const start = machine.localNs();
  expect([clock.nowNs(), clock.rttS, clock.jitterS]).toEqual([start, undefined, undefined]);
  const ahead = 3_600_000_000_000n;
  clock.receive(
    { opcode: Opcode.PONG, t0: start, t1: start + ahead + 1_000_000n, t2: start + ahead + 1_000_000n },
    start + 2_000_000n,
  );
  expect(clock.nowNs()).toBe(start + ahead);
  expect([clock.rttS, clock.smoothedS, clock.jitterS]).toEqual([0.002, 0.002, 0.001]);
  expect(clock.localNs()).toBe(start);
});

test("times that a gateway makes up are not times that the wire has no room for", () => {
  const machine = new FakeClock();
  for (const [t1, expected] of [
    [-(2n ** 62n), 0n],
    [2n ** 62n + 2n ** 61n, 2n ** 62n],
  ]) {
    const clock = new GatewayClock(machine);
    const t0 = machine.localNs();
    clock.receive({ opcode: Opcode.PONG, t0, t1, t2: t1 }, t0);
    expect(clock.nowNs()).toBe(expected);
  }
});
