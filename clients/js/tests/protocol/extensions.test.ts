import { expect, test } from "vitest";
import { Code, InvalidArgument } from "../../src/errors.ts";
import { blockBytes, type Extensions, parseExtensions, writeExtensions } from "../../src/protocol/extensions.ts";

const ALL: Extensions = {
  region: [{ start: 2n ** 63n, count: 0n, step: 1n }],
  deadline_ns: -5n,
  identity: { producer: 2n ** 64n - 1n, sequence: 1n },
  quantized: { dtype_code: 12, scale: 0.1, zero_point: -1e300 },
  resuming: true,
};

test.each<Extensions>([{}, ALL, { region: [] }, { resuming: true }])("%o is read as it was written", (extensions) => {
  const block = writeExtensions(extensions);
  expect(blockBytes(block, 0)).toBe(block.byteLength);
  expect(parseExtensions(block)).toEqual(extensions);
});

test("unknown fields are skipped", () => {
  const block = writeExtensions({ resuming: true });
  block[8] = 200;
  expect(parseExtensions(block)).toEqual({});
});

test("a region of too many dimensions", () => {
  const region = Array.from({ length: 33 }, () => ({ start: 0n, count: 1n, step: 1n }));
  expect(() => writeExtensions({ region })).toThrow(InvalidArgument);
  const block = writeExtensions({ region: region.slice(1) });
  block[12] = 33;
  expect(() => parseExtensions(block)).toThrow("33 dimensions");
});

test.each([2, 3, 4])("a field of type %i that is too short is refused", (kind) => {
  const block = writeExtensions({ resuming: true });
  block[8] = kind;
  expect(() => parseExtensions(block)).toThrow(expect.objectContaining({ code: Code.INVALID_REQUEST }));
});
