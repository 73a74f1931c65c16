/** Gateway's clock, as a client knows it (spec section 9). */

import { ClockEstimate } from "../protocol/clock.ts";
import type { Pong } from "../protocol/signals.ts";
import type { Clock } from "./clock.ts";

/** Latest time that is believed, in the year 2116: deadlines behind it still fit into frames. */
const LATEST_NS = 2n ** 62n;

export class GatewayClock {
  readonly #clock: Clock;
  readonly #estimate = new ClockEstimate();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Return Unix time in ns by the gateway's clock; by this machine's before the first exchange. */
  nowNs(): bigint {
    return this.atGateway(this.#clock.localNs());
  }

  /** Return this machine's Unix time, which a step of its clock does not change. */
  localNs(): bigint {
    return this.#clock.localNs();
  }

  /** Return the gateway's time for a moment of {@link GatewayClock.localNs}. */
  atGateway(localNs: bigint): bigint {
    const found = localNs + this.#estimate.offsetNs;
    return found < 0n ? 0n : found > LATEST_NS ? LATEST_NS : found;
  }

  /** Take one exchange into account. */
  receive(pong: Pong, arrivedNs: bigint): void {
    this.#estimate.receive(pong, arrivedNs);
  }

  /** Smallest round trip in seconds; undefined before the first exchange. */
  get rttS(): number | undefined {
    return this.#estimate.rttNs === undefined ? undefined : this.#estimate.rttNs / 1e9;
  }

  /** Smoothed round trip in seconds; undefined before the first exchange. */
  get smoothedS(): number | undefined {
    return this.#estimate.smoothedNs === undefined ? undefined : this.#estimate.smoothedNs / 1e9;
  }

  /** Deviation of the round trip in seconds; undefined before the first exchange. */
  get jitterS(): number | undefined {
    return this.#estimate.smoothedNs === undefined ? undefined : this.#estimate.deviationNs / 1e9;
  }
}
