/**
 * Mutated vectors are read, or refused with a documented error: never another error, never more memory than is allowed.
 *
 * `HOSTILE_SECONDS` makes it go on for so long, `HOSTILE_SEED` repeats a run.
 */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PeerError } from "../../src/index.ts";
import { Random } from "../random.ts";
import { describeMessage, hex, load, MAX_MESSAGE_BYTES } from "./vectors.ts";

const SEED = Number(process.env.HOSTILE_SEED ?? 20261130);
const SECONDS = Number(process.env.HOSTILE_SECONDS ?? 0);
const ROUNDS = 12_000;
/** Bytes of one array: a payload of the limit, or the descriptions of the test itself. */
const MAX_ARRAY_BYTES = MAX_MESSAGE_BYTES;

const VECTORS = load().filter(({ message }) => message.length > 8);
const NASTY = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 127, 128, 253, 254, 255];

let largest = 0;

beforeEach(() => {
  const Original = globalThis.Uint8Array;
  largest = 0;
  vi.stubGlobal(
    "Uint8Array",
    new Proxy(Original, {
      construct(target, args: unknown[], newTarget) {
        if (typeof args[0] === "number") {
          largest = Math.max(largest, args[0]);
        }
        return Reflect.construct(target, args, newTarget);
      },
    }),
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function mutated(random: Random): { bytes: Uint8Array; base: Uint8Array | undefined } {
  const { message, base } = random.of(VECTORS);
  let bytes = message.slice();
  for (let changes = 1 + random.below(4); changes; changes--) {
    const at = random.below(bytes.length);
    switch (random.below(6)) {
      case 0:
        bytes[at] ^= 1 << random.below(8);
        break;
      case 1:
        bytes[at] = random.of(NASTY);
        break;
      case 2:
        bytes.fill(random.of([0, 255]), at, at + 1 + random.below(8));
        break;
      case 3:
        bytes = bytes.slice(0, 8 * (1 + random.below(bytes.length / 8)));
        break;
      case 4:
        bytes.copyWithin(at, random.below(bytes.length), bytes.length);
        break;
      default: {
        const other = random.of(VECTORS).message;
        const joined = new Uint8Array(bytes.length + other.length);
        joined.set(bytes);
        joined.set(other, bytes.length);
        bytes = joined;
      }
    }
  }
  // Both, or few mutations would reach what stands behind the length of the first frame.
  if (random.below(2)) {
    new DataView(bytes.buffer).setUint32(0, bytes.length - random.below(8), true);
  }
  return { bytes, base };
}

test(
  "mutated vectors",
  async () => {
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
    expect(largest).toBeLessThanOrEqual(MAX_ARRAY_BYTES);
    expect(refused).toBeGreaterThan(rounds / 4);
    expect(refused).toBeLessThan(rounds);
  },
  1000 * (SECONDS + 60),
);
