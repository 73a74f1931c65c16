import { expect, test } from "vitest";
import { Code, InvalidArgument, type PeerError } from "../../src/errors.ts";
import { joined, viewOf, withPadding } from "../../src/protocol/buffers.ts";
import { bodyOf, checkTable, iterFrames, writeStart } from "../../src/protocol/frames.ts";

function frame(size: number, opcode: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(opcode);
  writeStart(viewOf(bytes), size, opcode, 5, 2);
  return joined(withPadding([bytes]));
}

test("frames start where the one before it and its padding end", () => {
  const message = joined([frame(8, 1), frame(13, 2), frame(16, 3)]);
  const frames = [...iterFrames(message)];
  expect(frames.map(({ opcode, start, end }) => [opcode, start, end])).toEqual([
    [1, 0, 8],
    [2, 8, 21],
    [3, 24, 40],
  ]);
  expect(frames[1]).toMatchObject({ flags: 5, meta_units: 2 });
  expect([...bodyOf(message, frames[1])]).toEqual([2, 2, 2, 2, 2]);
});

test("frames before a broken one are valid", () => {
  const message = joined([frame(8, 1), frame(8, 2)]);
  message[8] = 7;
  const frames = iterFrames(message);
  expect(frames.next().value).toMatchObject({ opcode: 1 });
  expect(() => frames.next()).toThrow("frame_bytes 7 at offset 8");
});

test.each([0, 4, 12])("a message of %i bytes is refused", (size) => {
  expect(() => [...iterFrames(new Uint8Array(size))]).toThrow(
    expect.objectContaining({ code: Code.MALFORMED_FRAME } satisfies Partial<PeerError>),
  );
});

test("a frame shorter than its table is refused", () => {
  const [found] = iterFrames(frame(16, 3));
  checkTable(found, 16);
  expect(() => checkTable(found, 17)).toThrow("frame with opcode 0x03 has 16 bytes, its table 17");
});

test("a frame beyond its length field is not written", () => {
  expect(() => writeStart(viewOf(new Uint8Array(8)), 2 ** 32, 1)).toThrow(InvalidArgument);
});
