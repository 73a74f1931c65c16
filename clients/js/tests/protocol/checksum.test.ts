import { expect, test } from "vitest";
import { checksumOf } from "../../src/protocol/checksum.ts";
import { utf8Bytes } from "../../src/protocol/exact_json.ts";
import { Random } from "../random.ts";

test.each([
  ["", 0],
  ["123456789", 0xcbf43926],
  ["The quick brown fox jumps over the lazy dog", 0x414fa339],
])("the checksum of '%s'", (text, checksum) => {
  expect(checksumOf([utf8Bytes(text)])).toBe(checksum);
});

test("the checksum does not depend on where a payload is cut, nor on its place in memory", () => {
  const random = new Random(1);
  const bytes = random.bytes(1000);
  const whole = checksumOf([bytes]);
  for (let round = 0; round < 100; round++) {
    const cut = random.below(bytes.length);
    expect(checksumOf([bytes.subarray(0, cut), bytes.subarray(cut)])).toBe(whole);
    expect(checksumOf([bytes.subarray(cut)], checksumOf([bytes.subarray(0, cut)]))).toBe(whole);
  }
});
