import { expect, test } from "vitest";
import { ClockEstimate } from "../../src/protocol/clock.ts";
import { Opcode } from "../../src/protocol/wire.ts";

const AHEAD = 1_000_000_000n;

/** Take one exchange, whose way there and back takes so many ns. */
function exchange(estimate: ClockEstimate, t0: bigint, there: bigint, back: bigint, ahead = AHEAD): void {
  const t1 = t0 + there + ahead;
  estimate.receive({ opcode: Opcode.PONG, t0, t1, t2: t1 }, t0 + there + back);
}

test("the offset is that of the exchange with the smallest bound", () => {
  const estimate = new ClockEstimate();
  exchange(estimate, 0n, 9000n, 1000n);
  expect(estimate.offsetNs).toBe(AHEAD + 4000n);
  exchange(estimate, 100n, 1000n, 1000n);
  exchange(estimate, 200n, 5000n, 1000n);
  expect([estimate.offsetNs, estimate.rttNs]).toEqual([AHEAD, 2000]);
});

test("an old exchange gives way, and so does one that a newer one contradicts", () => {
  const estimate = new ClockEstimate();
  exchange(estimate, 0n, 1000n, 1000n);
  exchange(estimate, 10n ** 9n, 5000n, 5000n, AHEAD + 3000n);
  expect(estimate.offsetNs).toBe(AHEAD + 3000n);
  exchange(estimate, 2n * 10n ** 9n, 50_000n, 50_000n, 2n * AHEAD);
  expect(estimate.offsetNs).toBe(2n * AHEAD);
});

test("the round trip is smoothed, and one that cannot be is left out", () => {
  const estimate = new ClockEstimate();
  estimate.receive({ opcode: Opcode.PONG, t0: 0n, t1: 0n, t2: 100n }, 50n);
  expect(estimate.rttNs).toBeUndefined();
  exchange(estimate, 0n, 400n, 400n);
  expect([estimate.smoothedNs, estimate.deviationNs]).toEqual([800, 400]);
  exchange(estimate, 0n, 800n, 800n);
  expect([estimate.smoothedNs, estimate.deviationNs]).toEqual([900, 500]);
});
