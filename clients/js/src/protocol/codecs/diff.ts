/**
 * `diff8` to `diff64`: change of every integer since an earlier version of the state (spec section 10).
 *
 * Differences are modulo 2^n of little-endian integers of n bits. Bytes past the last complete integer are copied.
 */

import { checkedBase, type Filter } from "./abc.ts";
import { aligned, words16, words32 } from "./words.ts";

type Integers = Uint8Array | Uint16Array | Int32Array;
type Sum = (changes: Integers, bases: Integers, out: Integers) => void;

/** Add integers of the arrays' own size; an assignment keeps the lower bits. */
function addEach(changes: Integers, bases: Integers, out: Integers): void {
  for (let index = 0; index < out.length; index++) {
    out[index] = changes[index] + bases[index];
  }
}

/** Add integers of two words: BigInt would take an object for each. */
function addPairs(changes: Integers, bases: Integers, out: Integers): void {
  for (let index = 0; index + 1 < out.length; index += 2) {
    const low = (changes[index] >>> 0) + (bases[index] >>> 0);
    out[index] = low;
    out[index + 1] = changes[index + 1] + bases[index + 1] + (low > 0xffff_ffff ? 1 : 0);
  }
}

function diff(id: number, itemBytes: number, integers: (bytes: Uint8Array) => Integers, sum: Sum): Filter {
  return {
    name: `diff${8 * itemBytes}`,
    id,
    parameters: [1, 255],

    decodeInto(data, out, parameter, base) {
      const before = checkedBase(data, parameter, base);
      const whole = data.byteLength - (data.byteLength % itemBytes);
      const isAligned = out.byteOffset % itemBytes === 0;
      const target = isAligned ? out.subarray(0, whole) : new Uint8Array(whole);
      sum(
        integers(aligned(data.subarray(0, whole), itemBytes)),
        integers(aligned(before.subarray(0, whole), itemBytes)),
        integers(target),
      );
      if (!isAligned) {
        out.set(target);
      }
      out.set(data.subarray(whole), whole);
    },
  };
}

export const DIFF8 = diff(18, 1, (bytes) => bytes, addEach);
export const DIFF16 = diff(19, 2, words16, addEach);
export const DIFF32 = diff(20, 4, words32, addEach);
export const DIFF64 = diff(21, 8, words32, addPairs);
