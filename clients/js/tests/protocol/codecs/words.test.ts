import { expect, test } from "vitest";
import { aligned, words16, words32 } from "../../../src/protocol/codecs/words.ts";

test("bytes at a good place are not copied", () => {
  const bytes = new Uint8Array(16);
  expect(aligned(bytes, 4)).toBe(bytes);
  expect(aligned(bytes.subarray(2), 4).byteOffset).toBe(0);
});

test("words are little-endian, and those of the bytes themselves", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5);
  expect([...words16(bytes)]).toEqual([0x201, 0x403]);
  expect([...words32(bytes)]).toEqual([0x4030201]);
  words32(bytes)[0] = -1;
  expect([...bytes]).toEqual([255, 255, 255, 255, 5]);
});
