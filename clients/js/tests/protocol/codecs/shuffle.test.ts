import { expect, test } from "vitest";
import { SHUFFLE, shuffleInto } from "../../../src/protocol/codecs/shuffle.ts";
import { Random } from "../../random.ts";

const ITEM_BYTES = Array.from({ length: 15 }, (_, index) => index + 2);

test.each(ITEM_BYTES)("elements of %i bytes come back, at every length and place", (itemBytes) => {
  const random = new Random(itemBytes);
  for (const size of [0, 1, itemBytes - 1, itemBytes, 5 * itemBytes + 1, 64 * itemBytes + itemBytes - 1]) {
    const data = random.bytes(size);
    const shuffled = new Uint8Array(size);
    shuffleInto(data, shuffled, itemBytes);
    for (const place of [0, 1, 2, 4]) {
      const memory = new Uint8Array(place + size).subarray(place);
      SHUFFLE.decodeInto(shuffled, memory, itemBytes, undefined);
      expect(memory).toEqual(data);
    }
  }
});

test("byte k of all elements is stored together, and the rest is appended", () => {
  const out = new Uint8Array(9);
  shuffleInto(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), out, 4);
  expect([...out]).toEqual([1, 5, 2, 6, 3, 7, 4, 8, 9]);
});
