/**
 * Mutated vectors are read, or refused with a documented error: never another error, never more memory than is allowed.
 *
 * `HOSTILE_SECONDS` makes it go on for so long, `HOSTILE_SEED` repeats a run.
 */

import { expect, test } from "vitest";
import { PeerError } from "../../src/index.ts";
import { Random } from "../random.ts";
import { largestArray } from "./allocations.ts";
import { mutated } from "./mutations.ts";
import { describeMessage, hex, MAX_MESSAGE_BYTES } from "./vectors.ts";

const SEED = Number(process.env.HOSTILE_SEED ?? 20261130);
const SECONDS = Number(process.env.HOSTILE_SECONDS ?? 0);
const ROUNDS = 12_000;
/** Bytes of one array: a payload of the limit, or the descriptions of the test itself. */
const MAX_ARRAY_BYTES = MAX_MESSAGE_BYTES;

test(
  "mutated vectors",
  async () => {
    const largest = largestArray();
    const random = new Random(SEED);
    const end = Date.now() + 1000 * SECONDS;
    let refused = 0;
    let rounds = 0;
    for (; rounds < ROUNDS || Date.now() < end; rounds++) {
      const { bytes, base } = mutated(random);
      try {
        await describeMessage(bytes, base);
      } catch (error) {
        if (!(error instanceof PeerError)) {
          throw new Error(`round ${rounds} of seed ${SEED}, message ${hex(bytes)}`, { cause: error });
        }
        refused++;
      }
    }
    expect(largest()).toBeLessThanOrEqual(MAX_ARRAY_BYTES);
    expect(refused).toBeGreaterThan(rounds / 4);
    expect(refused).toBeLessThan(rounds);
  },
  1000 * (SECONDS + 60),
);
