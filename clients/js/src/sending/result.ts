/** Result of an acknowledged publish, and the quality of the link as it has found it. */

import type { Durability } from "../protocol/durability.ts";
import { scoreOf } from "../protocol/link_quality.ts";

/** Bytes from which on a publish tells the rate of the link (spec section 15). */
const RATED_BYTES = 64 * 1024;

export interface TransmissionResult {
  readonly stream: string;
  readonly epoch: number;
  readonly offset: bigint;
  readonly durability: Durability;
  /** Whether the message had been published before, by a connection that was lost. */
  readonly repeated: boolean;
  /** Seconds from the call to the acknowledgement. */
  readonly latencyS: number;
  /** Bytes of the message's frames. */
  readonly bytesTransmitted: number;
  /** Size of the payload divided by its size as sent. */
  readonly compressionRatio: number;
  /** Quality of the link, 0 to 1 (spec section 15). */
  readonly qualityScore: number;
}

/** Best goodput of one connection, by its acknowledged publishes. */
export class PublishQuality {
  #goodput: number | undefined;

  /** Highest goodput so far, in bytes a second. */
  get goodputBytesPerS(): number | undefined {
    return this.#goodput;
  }

  /** Return the score of the link as a publish found it. */
  score(bytes: number, latencyS: number, rttS: number | undefined): number {
    if (bytes >= RATED_BYTES && latencyS > 0) {
      this.#goodput = Math.max(this.#goodput ?? 0, bytes / latencyS);
    }
    const goodput = this.#goodput;
    const atBest = (rttS ?? 0) + (goodput === undefined ? 0 : bytes / goodput);
    return scoreOf({ rtt_s: rttS, goodput_bytes_per_s: goodput, queue_delay_s: Math.max(0, latencyS - atBest) });
  }

  /** Begin a connection. */
  reset(): void {
    this.#goodput = undefined;
  }
}
