import { expect, test } from "vitest";
import { Code, InvalidArgument, UnsupportedDtype } from "../../src/errors.ts";
import type { Dtype } from "../../src/protocol/dtypes.ts";
import { parseMeta, payloadLayout, type TensorSpec, writeMeta } from "../../src/protocol/meta.ts";

const FLOAT: TensorSpec = { name: "", dtype: "float32", shape: [2, 3] };

test.each<[string, TensorSpec[], Record<string, number> | null]>([
  ["nothing", [], null],
  ["a tensor", [FLOAT], null],
  ["a scalar", [{ name: "x", dtype: "complex128", shape: [] }], null],
  ["headers alone", [], { step: 1 }],
  ["two tensors and headers", [FLOAT, { name: "weights/ä", dtype: "bool", shape: [0] }], { step: 1 }],
  ["a wide shape", [{ name: "", dtype: "uint8", shape: [2 ** 33, 0] }], null],
  ["32 dimensions", [{ name: "", dtype: "int8", shape: Array(32).fill(1) }], null],
])("%s is read as it was written", (_, specs, headers) => {
  const block = writeMeta(specs, headers);
  expect(block.byteLength % 8).toBe(0);
  expect(parseMeta(block)).toEqual({ specs, headers, payload_bytes: payloadLayout(specs).payload_bytes });
});

test("tensors start on units of 8, and the last one has no padding", () => {
  const bytes: TensorSpec = { name: "", dtype: "uint8", shape: [3] };
  expect(payloadLayout([bytes, FLOAT, bytes])).toEqual({ offsets: [0, 8, 32], payload_bytes: 35 });
});

test.each<[string, TensorSpec[]]>([
  ["at most 255", Array.from({ length: 256 }, (_, index) => ({ ...FLOAT, name: `${index}` }))],
  ["different names", [FLOAT, FLOAT]],
  ["33 dimensions", [{ ...FLOAT, shape: Array(33).fill(1) }]],
  ["has 256 bytes", [{ ...FLOAT, name: "ä".repeat(128) }]],
  ["integers from 0 on", [{ ...FLOAT, shape: [-1] }]],
  ["integers from 0 on", [{ ...FLOAT, shape: [1.5] }]],
])("not written: %s", (problem, specs) => {
  expect(() => writeMeta(specs)).toThrow(problem);
  expect(() => writeMeta(specs)).toThrow(InvalidArgument);
});

test("not written: an unknown dtype, and headers that are too large", () => {
  expect(() => writeMeta([{ ...FLOAT, dtype: "object" as Dtype }])).toThrow(UnsupportedDtype);
  expect(() => writeMeta([], { text: "x".repeat(65536) })).toThrow("send large data as a tensor");
});

test("every descriptor is read, up to 255", () => {
  const specs = Array.from({ length: 255 }, (_, index) => ({ ...FLOAT, name: `${index}` }));
  const block = writeMeta(specs);
  expect(parseMeta(block).specs).toHaveLength(255);
  block[block.byteLength - 13] |= 1;
  expect(() => parseMeta(block)).toThrow();
});

test.each<[string, number[]]>([
  ["cut off", [12, 0, 0]],
  ["ends at byte 16, its block at 8", [12, 3, 0, 0, 0, 0, 0, 0]],
  ["not UTF-8", [12, 0, 1, 0, 0xff, 0, 0, 0]],
  ["dtype 0", [0, 0, 1, 0, 65, 0, 0, 0]],
  ["no array can have shape", [13, 2, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]],
])("a descriptor is refused: %s", (problem, bytes) => {
  expect(() => parseMeta(Uint8Array.from(bytes))).toThrow(problem);
  expect(() => parseMeta(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: Code.INVALID_TENSOR }));
});

test("large integers in headers are exact", () => {
  expect(parseMeta(writeMeta([], { at: 1770000000000000001n, step: 3 })).headers).toEqual({
    at: 1770000000000000001n,
    step: 3,
  });
});
