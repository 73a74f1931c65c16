/** Golden vectors with damage: what a hostile or broken gateway may send. */

import type { Random } from "../random.ts";
import { load } from "./vectors.ts";

const VECTORS = load().filter(({ message }) => message.length > 8);
const NASTY = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 127, 128, 253, 254, 255];

/** Return a vector with some changes, and the base of the vector that it was made of. */
export function mutated(random: Random): { bytes: Uint8Array; base: Uint8Array | undefined } {
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
