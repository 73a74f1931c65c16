import { expect, test } from "vitest";
import type { Filter } from "../../../src/protocol/codecs/abc.ts";
import { DIFF8, DIFF16, DIFF32, DIFF64 } from "../../../src/protocol/codecs/diff.ts";
import { Random } from "../../random.ts";

/** Return the sum modulo 2^(8 * itemBytes) of little-endian integers, by `bigint`; the rest unchanged. */
function sum(data: Uint8Array, base: Uint8Array, itemBytes: number): Uint8Array {
  const out = data.slice();
  for (let at = 0; at + itemBytes <= data.length; at += itemBytes) {
    let carry = 0;
    for (let k = at; k < at + itemBytes; k++) {
      const total = data[k] + base[k] + carry;
      out[k] = total;
      carry = total >> 8;
    }
  }
  return out;
}

test.each<[Filter, number]>([
  [DIFF8, 1],
  [DIFF16, 2],
  [DIFF32, 4],
  [DIFF64, 8],
])("$name adds integers, at every length and place", (filter, itemBytes) => {
  const random = new Random(itemBytes);
  expect(filter.name).toBe(`diff${8 * itemBytes}`);
  for (let round = 0; round < 200; round++) {
    const size = random.below(40);
    // 0 and 255 are many, so that sums carry.
    const [data, base] = [0, 0].map(() => random.bytes(size).map((byte) => (byte < 64 ? 0 : byte < 128 ? 255 : byte)));
    const place = random.below(9);
    const out = new Uint8Array(place + size).subarray(place);
    const moved = new Uint8Array(place + size).subarray(place);
    moved.set(base);
    filter.decodeInto(data, out, 1, moved);
    expect(out).toEqual(sum(data, base, itemBytes));
  }
});
