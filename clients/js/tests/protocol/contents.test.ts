import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import { checkDeclared, tensorsOf } from "../../src/protocol/contents.ts";
import type { DataFrame } from "../../src/protocol/data.ts";
import { encode } from "../../src/protocol/encoding.ts";
import { type Meta, payloadLayout, type TensorSpec } from "../../src/protocol/meta.ts";
import { Opcode } from "../../src/protocol/wire.ts";

const PAYLOAD = new Uint8Array(1024);
const FRAME: DataFrame = {
  opcode: Opcode.MESSAGE,
  flags: 0,
  stream: 1,
  publisher: 2,
  offset: 3n,
  timestamp_ns: 4n,
  meta: new Uint8Array(0),
  payload: PAYLOAD,
};

function metaOf(...specs: TensorSpec[]): Meta {
  return { specs, headers: null, payload_bytes: payloadLayout(specs).payload_bytes };
}

const META = metaOf({ name: "", dtype: "float32", shape: [256] });

test("a plain payload is read in place, an encoded one decoded", () => {
  expect(tensorsOf(FRAME, META)[0].data.buffer).toBe(PAYLOAD.buffer);
  const encoded = encode(PAYLOAD);
  expect(tensorsOf({ ...FRAME, encoding: encoded?.encoding, payload: encoded?.data ?? PAYLOAD }, META)[0].size).toBe(
    256,
  );
});

test("a batch has one descriptor", () => {
  const batch = { ...FRAME, opcode: Opcode.BATCH, count: 4 };
  const record = metaOf({ name: "", dtype: "float32", shape: [64] });
  expect(tensorsOf(batch, record)[0].shape).toEqual([4, 64]);
  expect(() => checkDeclared(batch, metaOf())).toThrow(expect.objectContaining({ code: Code.INVALID_TENSOR }));
});

test.each<[number, Partial<DataFrame>, number]>([
  [Code.SIZE_MISMATCH, { payload: PAYLOAD.subarray(1) }, 2048],
  [Code.SIZE_MISMATCH, { encoding: { decoded_bytes: 1025, steps: [] } }, 2048],
  [Code.SIZE_MISMATCH, { plan: { transfer: 1, chunk_bytes: 4096, payload_bytes: 2048 } }, 2048],
  [Code.MESSAGE_TOO_BIG, {}, 1023],
])("refused with %i before anything is allocated", (code, change, maxMessageBytes) => {
  const frame = { ...FRAME, ...change };
  expect(() => tensorsOf(frame, META, { maxMessageBytes })).toThrow(expect.objectContaining({ code }));
});
