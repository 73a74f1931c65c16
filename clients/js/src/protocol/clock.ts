/** Estimate of the other side's clock (spec section 9). Reads no clock itself. */

import type { Pong } from "./signals.ts";

/** Frequency tolerance: seconds by which two clocks may drift apart in a second (RFC 5905, section 7.2). */
const PHI = 15e-6;
/** Weights of a new round trip and a new deviation (RFC 6298, section 2). */
const ALPHA = 1 / 8;
const BETA = 1 / 4;
/** Longest round trip that is believed, in ns. */
const MAX_ROUND_TRIP_NS = 3600e9;

/**
 * Clock offset, taken from the best exchange of PING and PONG, and the round trip.
 *
 * The offset of one exchange is wrong by at most half its round trip, and by {@link PHI} a second more as it ages. The exchange
 * with the smallest such bound stands. A newer one that lies outside both bounds shows that a clock was set: then it stands.
 */
export class ClockEstimate {
  /** Other side's clock minus the own one; 0 before the first exchange. */
  offsetNs = 0n;
  /** Smallest round trip so far, in ns. */
  rttNs: number | undefined;
  /** Smoothed round trip and its deviation, in ns. */
  smoothedNs: number | undefined;
  deviationNs = 0;
  #boundNs = 0;
  #measuredNs = 0n;

  /**
   * Take one exchange into account; one with a negative round trip is left out.
   *
   * @param t3 time of arrival of PONG by the own clock, which nobody sets.
   */
  receive(pong: Pong, t3: bigint): void {
    const rttNs = Number(t3 - pong.t0 - (pong.t2 - pong.t1));
    if (rttNs < 0 || rttNs > MAX_ROUND_TRIP_NS) {
      return;
    }
    this.#smooth(rttNs);
    const offsetNs = (pong.t1 - pong.t0 + (pong.t2 - t3)) / 2n;
    const boundNs = rttNs / 2 + 1;
    if (this.rttNs !== undefined) {
      const agedNs = this.#boundNs + PHI * Math.max(0, Number(t3 - this.#measuredNs));
      const contradicts = Math.abs(Number(offsetNs - this.offsetNs)) > boundNs + agedNs;
      if (boundNs >= agedNs && !contradicts) {
        return;
      }
    }
    this.rttNs = Math.min(this.rttNs ?? rttNs, rttNs);
    this.offsetNs = offsetNs;
    this.#boundNs = boundNs;
    this.#measuredNs = t3;
  }

  #smooth(rttNs: number): void {
    if (this.smoothedNs === undefined) {
      this.smoothedNs = rttNs;
      this.deviationNs = rttNs / 2;
      return;
    }
    this.deviationNs += BETA * (Math.abs(rttNs - this.smoothedNs) - this.deviationNs);
    this.smoothedNs += ALPHA * (rttNs - this.smoothedNs);
  }
}
