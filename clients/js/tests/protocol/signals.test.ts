import { expect, test } from "vitest";
import { Code, InvalidArgument } from "../../src/errors.ts";
import { viewOf } from "../../src/protocol/buffers.ts";
import { iterFrames } from "../../src/protocol/frames.ts";
import { isSignal, parseSignal, type ReceiverReport, type Signal, writeSignal } from "../../src/protocol/signals.ts";
import { Opcode } from "../../src/protocol/wire.ts";

const U64 = 2n ** 64n - 1n;
const REPORT: ReceiverReport = {
  opcode: Opcode.REPORT,
  decoded_bytes: U64,
  decode_ns: 1n,
  unread_bytes: 2n,
  unread_ns: 3n,
  positions: [{ stream: 1, behind: 2 ** 32 - 1, offset: U64 }],
};

function readAgain(signal: Signal): Signal {
  const bytes = writeSignal(signal);
  const [frame] = iterFrames(bytes);
  return parseSignal(bytes, frame);
}

test.each<Signal>([
  { opcode: Opcode.ACK, alias: 1, count: 2, sequence: U64, offset: U64, durability: "fsync", repeated: true },
  { opcode: Opcode.ACK, alias: 1, count: 2, sequence: 3n, offset: 4n, durability: "memory", repeated: false },
  { opcode: Opcode.END, transfer: 1, offset: 2n, timestamp_ns: -(2n ** 63n), checksum: 0xffffffff },
  { opcode: Opcode.END, transfer: 1, offset: 2n, timestamp_ns: 3n, checksum: undefined },
  { opcode: Opcode.PING, t0: -1n, report: true },
  { opcode: Opcode.PONG, t0: 1n, t1: 2n, t2: 3n },
  { opcode: Opcode.GAP, stream: 1, code: Code.EXPIRED, first: 2n, last: U64 },
  { opcode: Opcode.REPLAY, stream: 1, code: 0, first: 2n, last: 3n },
  { opcode: Opcode.DONE, stream: 2 ** 32 - 1, code: 0, first: 2n, last: 3n },
  { opcode: Opcode.IN_PROGRESS, stream: 1, first: 2n, last: 3n },
  { opcode: Opcode.CONFLATED, stream: 1, count: U64 },
  { opcode: Opcode.ABORT, transfer: 1, code: Code.PEER_GONE },
  { opcode: Opcode.RESUME, transfer: 1, index: 2 },
  { opcode: Opcode.CREDIT, subscription: 1, messages: 2, nbytes: U64 },
  { opcode: Opcode.CANCEL, peer: 1, correlation: U64 },
  REPORT,
  { ...REPORT, positions: [] },
])("$opcode is read as it was written", (signal) => {
  expect(readAgain(signal)).toEqual(signal);
  expect(isSignal(signal.opcode)).toBe(true);
  expect(writeSignal(signal).byteLength % 8).toBe(0);
});

test("bytes behind the fields are skipped", () => {
  const longer = new Uint8Array(24);
  longer.set(writeSignal({ opcode: Opcode.PING, t0: 5n, report: false }));
  viewOf(longer).setUint32(0, 24, true);
  const [frame] = iterFrames(longer);
  expect(parseSignal(longer, frame)).toEqual({ opcode: Opcode.PING, t0: 5n, report: false });
});

test("a list beyond its frame, or of too many, is refused before anything is made of it", () => {
  const bytes = writeSignal(REPORT);
  for (const count of [2, 65, 2 ** 32 - 1]) {
    viewOf(bytes).setUint32(40, count, true);
    const [frame] = iterFrames(bytes);
    expect(() => parseSignal(bytes, frame)).toThrow(expect.objectContaining({ code: Code.MALFORMED_FRAME }));
  }
});

test("more positions than a frame may have are not written", () => {
  const positions = Array.from({ length: 65 }, () => ({ stream: 1, behind: 0, offset: 0n }));
  expect(() => writeSignal({ ...REPORT, positions })).toThrow(InvalidArgument);
});

test("no signal has the opcode of a message", () => {
  const frame = { opcode: Opcode.MESSAGE, flags: 0, meta_units: 0, start: 0, end: 8 };
  expect(() => parseSignal(new Uint8Array(8), frame)).toThrow("opcode 0x10 is no signal");
});
