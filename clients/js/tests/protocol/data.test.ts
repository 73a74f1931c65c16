import { expect, test } from "vitest";
import { Code, InvalidArgument } from "../../src/errors.ts";
import { bytesOf, joined } from "../../src/protocol/buffers.ts";
import { type DataFields, type DataFrame, decodedBytes, parseData, writeData } from "../../src/protocol/data.ts";
import { iterFrames } from "../../src/protocol/frames.ts";
import { writeMeta } from "../../src/protocol/meta.ts";
import { Flag, Opcode } from "../../src/protocol/wire.ts";

const FIELDS: DataFields = { opcode: Opcode.MESSAGE, stream: 7, offset: 2n ** 64n - 1n, timestamp_ns: -1n };
const META = writeMeta([{ name: "", dtype: "uint8", shape: [3] }]);
const PAYLOAD = Uint8Array.of(1, 2, 3);

function readAgain(fields: DataFields): DataFrame {
  const message = joined(writeData(fields));
  const [frame] = iterFrames(message);
  return parseData(message, frame);
}

test("a message is read as it was written, over the same memory", () => {
  const message = joined(writeData({ ...FIELDS, flags: Flag.ACK, meta: META, payload: [PAYLOAD] }));
  const [frame] = iterFrames(message);
  const read = parseData(message, frame);
  expect(read).toMatchObject({
    opcode: Opcode.MESSAGE,
    flags: Flag.ACK,
    stream: 7,
    publisher: 0,
    offset: 2n ** 64n - 1n,
  });
  expect(read.timestamp_ns).toBe(-1n);
  expect(read.payload).toEqual(PAYLOAD);
  expect(read.payload.buffer).toBe(message.buffer);
  expect(decodedBytes(read)).toBe(3);
});

test("the blocks are found by the flags", () => {
  const encoding = { decoded_bytes: 100, steps: [{ id: 1, param: 0 }] };
  const encoded = readAgain({ ...FIELDS, meta: META, encoding, payload: [PAYLOAD], extensions: { deadline_ns: 5n } });
  expect(encoded.flags).toBe(Flag.ENCODED | Flag.EXTENDED);
  expect(encoded).toMatchObject({ encoding, extensions: { deadline_ns: 5n }, payload: PAYLOAD });
  expect(decodedBytes(encoded)).toBe(100);
  const plan = { transfer: 1, chunk_bytes: 4096, payload_bytes: 5000 };
  const chunked = readAgain({ ...FIELDS, opcode: Opcode.BATCH, count: 5, plan });
  expect(chunked).toMatchObject({ flags: Flag.CHUNKED, plan, count: 5 });
  expect(decodedBytes(chunked)).toBe(5000);
});

test("flags that name blocks follow from the blocks", () => {
  expect(readAgain({ ...FIELDS, flags: 0xff }).flags).toBe(Flag.ACK | Flag.FAILED | Flag.MORE | 0xc0);
});

test.each<Partial<DataFields>>([
  { count: 1 },
  { opcode: Opcode.BATCH },
  { opcode: Opcode.BATCH, count: 0 },
  { opcode: Opcode.BATCH, count: 65_537 },
  { meta: new Uint8Array(7) },
  { meta: new Uint8Array(8 * 65536) },
  { plan: { transfer: 1, chunk_bytes: 4096, payload_bytes: 5 }, payload: [PAYLOAD] },
])("%o is not written", (change) => {
  expect(() => writeData({ ...FIELDS, ...change })).toThrow(InvalidArgument);
});

test("a payload is passed on and not copied", () => {
  const buffers = writeData({ ...FIELDS, payload: [PAYLOAD] });
  expect(buffers).toContain(PAYLOAD);
  expect(bytesOf(buffers)).toBe(40);
});

test("a frame shorter than its blocks is refused", () => {
  const message = joined(writeData(FIELDS));
  for (const [at, value] of [
    [5, Flag.ENCODED],
    [5, Flag.CHUNKED],
    [5, Flag.EXTENDED],
    [6, 1],
    [4, Opcode.BATCH],
  ]) {
    const changed = message.slice();
    changed[at] = value;
    const [frame] = iterFrames(changed);
    expect(() => parseData(changed, frame)).toThrow(expect.objectContaining({ code: Code.MALFORMED_FRAME }));
  }
});
