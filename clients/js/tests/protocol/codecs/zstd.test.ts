import { beforeAll, expect, test } from "vitest";
import { Code } from "../../../src/errors.ts";
import { ZSTD } from "../../../src/protocol/codecs/zstd.ts";
import { expectDamageIsRefused, samplesOf } from "./loaded.ts";

beforeAll(() => ZSTD.load());

test("there are samples, and they are decoded", () => {
  const samples = samplesOf(ZSTD);
  expect(samples.length).toBeGreaterThan(2);
  for (const { data, decodedBytes } of samples) {
    ZSTD.decodeInto(data, new Uint8Array(decodedBytes));
  }
});

test("damaged frames are refused", () => {
  expectDamageIsRefused(ZSTD, 3000);
});

const [{ data: FRAME, decodedBytes: SIZE }] = samplesOf(ZSTD);

test.each<[string, Uint8Array]>([
  ["not a zstd frame", Uint8Array.of(1, 2, 3, 4, 5, 6, 7)],
  ["not a zstd frame", new Uint8Array(0)],
  ["something follows it", Uint8Array.from([...FRAME, 0])],
  ["something follows it", Uint8Array.from([...FRAME, ...FRAME])],
  ["cut off", FRAME.subarray(0, -1)],
])("%s", (problem, data) => {
  expect(() => ZSTD.checkSize(data, SIZE)).toThrow(problem);
  expect(() => ZSTD.checkSize(data, SIZE)).toThrow(expect.objectContaining({ code: Code.CORRUPT_PAYLOAD }));
});

test("a size that a frame declares and no block has", () => {
  // A frame of 8 bytes of size, and one empty block.
  const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0);
  expect(() => ZSTD.checkSize(frame, 2 ** 32)).toThrow("such a payload comes in chunks");
  expect(() => ZSTD.checkSize(frame, 1)).toThrow(`zstd frame of ${2 ** 32} bytes where 1 bytes`);
});

test("loading again is no work", async () => {
  expect(ZSTD.load()).toBe(ZSTD.load());
  await ZSTD.load();
  expect(ZSTD.loaded).toBe(true);
});
