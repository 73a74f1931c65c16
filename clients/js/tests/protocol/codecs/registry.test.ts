import { expect, test } from "vitest";
import { Code } from "../../../src/errors.ts";
import { CODEC_NAMES, FILTER_NAMES } from "../../../src/protocol/codecs/offered.ts";
import { compressorOf, FILTERS, filterOf, isDelta, OFFERED } from "../../../src/protocol/codecs/registry.ts";

test("names for HELLO are those of the codecs that decode", () => {
  expect(CODEC_NAMES).toEqual(OFFERED.map(({ name }) => name));
  expect(FILTER_NAMES).toEqual(FILTERS.map(({ name }) => name));
});

test("each id has its codec", () => {
  expect([0, 1, 2, 3, 4].map((id) => compressorOf(id)?.name)).toEqual(["none", "lz4", "zstd", "snappy", "pco"]);
  expect([16, 17, 18, 19, 20, 21].map((id) => filterOf(id).name)).toEqual(FILTER_NAMES);
  expect([16, 17, 18, 19, 20, 21].map(isDelta)).toEqual([false, true, true, true, true, true]);
});

test.each([5, 22, 255])("no codec has id %i", (id) => {
  expect(compressorOf(id)).toBeUndefined();
  expect(() => filterOf(id)).toThrow(expect.objectContaining({ code: Code.UNKNOWN_CODEC }));
});

test("pco is not decoded", () => {
  const pco = compressorOf(4);
  expect(() => pco?.decodeInto(new Uint8Array(8), new Uint8Array(8))).toThrow("pco is not decoded by this client");
});
