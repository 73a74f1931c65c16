import { beforeAll, expect, test } from "vitest";
import { Code } from "../../../src/errors.ts";
import { SNAPPY } from "../../../src/protocol/codecs/snappy.ts";
import { expectDamageIsRefused, samplesOf } from "./loaded.ts";

beforeAll(() => SNAPPY.load());

test("there are samples, and they are decoded", () => {
  const samples = samplesOf(SNAPPY);
  expect(samples.length).toBeGreaterThan(1);
  for (const { data, decodedBytes } of samples) {
    SNAPPY.decodeInto(data, new Uint8Array(decodedBytes));
  }
});

test("damaged blocks are refused", () => {
  expectDamageIsRefused(SNAPPY, 3000);
});

test.each<[string, number[], number]>([
  ["a literal", [3, 0x08, 1, 2, 3], 3],
  ["a literal with a length of one byte", [61, 60 << 2, 60, ...Array(61).fill(7)], 61],
  ["copies with offsets of one, two and four bytes", [12, 0x00, 9, 0x01, 1, 0x0e, 1, 0, 0x0b, 1, 0, 0, 0], 12],
])("%s", (_, block, size) => {
  SNAPPY.decodeInto(Uint8Array.from(block), new Uint8Array(size));
});

test.each<[string, number[], number]>([
  ["without a complete preamble", [0xff, 0xff, 0xff, 0xff, 0xff, 1], 5],
  ["without a complete preamble", [], 0],
  ["copies from 0 bytes", [5, 0x00, 9, 0x01, 0], 5],
  ["copies from 2 bytes", [5, 0x00, 9, 0x01, 2], 5],
  ["decodes to 3 bytes, not to 4", [4, 0x08, 1, 2, 3], 4],
  ["decodes to", [2, 0x08, 1, 2, 3], 2],
  ["decodes to", [3, 0x08, 1, 2], 3],
  ["before byte 1", [8, 0x00, 9, 0x0e, 1], 8],
  ["cannot decode", [0x80, 0x80, 4, 0x08, 1, 2, 3], 65536],
])("refused: %s", (problem, block, size) => {
  const decode = () => SNAPPY.decodeInto(Uint8Array.from(block), new Uint8Array(size));
  expect(decode).toThrow(problem);
  expect(decode).toThrow(expect.objectContaining({ code: Code.CORRUPT_PAYLOAD }));
});
