import { describe, expect, test } from "vitest";
import { Code } from "../../../src/errors.ts";
import { encodeLz4, LZ4 } from "../../../src/protocol/codecs/lz4.ts";
import { Random } from "../../random.ts";

function decode(block: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  LZ4.checkSize(block, size);
  LZ4.decodeInto(block, out);
  return out;
}

/** Payloads with runs, repeats at many distances, and what does not repeat. */
function payload(random: Random): Uint8Array {
  const bytes = random.bytes(16 + random.below(5000), random.of([2, 4, 256]));
  for (let repeats = random.below(12); repeats; repeats--) {
    const from = random.below(bytes.length);
    const size = 1 + random.below(random.of([8, 40, 1000]));
    bytes.copyWithin(random.below(bytes.length), from, Math.min(from + size, bytes.length));
    bytes.fill(random.below(256), from, from + random.below(600));
  }
  return bytes;
}

test("what was encoded is decoded", () => {
  const random = new Random(1);
  for (let round = 0; round < 400; round++) {
    const bytes = payload(random);
    const block = encodeLz4(bytes, 2 * bytes.length + 16);
    expect(block && decode(block, bytes.length)).toEqual(bytes);
  }
});

test("a payload of nothing, and one that is too short for a match", () => {
  for (const size of [0, 1, 12, 13]) {
    const block = encodeLz4(new Uint8Array(size), 64);
    expect(block && decode(block, size)).toEqual(new Uint8Array(size));
  }
});

test("a block keeps the rules for its end", () => {
  // Zeros: one literal, one match up to the last five bytes, and these.
  expect([...(encodeLz4(new Uint8Array(40)) ?? [])]).toEqual([0x1f, 0, 1, 0, 15, 0x50, 0, 0, 0, 0, 0]);
  // A match that begins later than 12 bytes before the end is not used.
  expect(encodeLz4(new Uint8Array(12), 64)?.length).toBe(13);
});

test("there is no block that is larger than allowed", () => {
  const random = new Random(2);
  const bytes = payload(random);
  const size = encodeLz4(bytes, 10_000)?.length ?? 0;
  expect(encodeLz4(bytes, size)).toHaveLength(size);
  for (let room = 0; room < size; room += 7) {
    expect(encodeLz4(bytes, room)).toBeUndefined();
  }
});

describe.each<[string, number[], number]>([
  ["no block", [], 0],
  ["a literal past the end", [0x20, 1], 2],
  ["literals past the room", [0x30, 1, 2, 3], 2],
  ["an offset of 0", [0x10, 1, 0, 0, 0x10, 1], 6],
  ["an offset before the beginning", [0x10, 1, 2, 0, 0x10, 1], 6],
  ["a match past the room", [0x1f, 1, 1, 0, 255, 255, 0], 32],
  ["an offset that is cut off", [0x10, 1, 1], 6],
  ["a length that is cut off", [0xf0, 255, 255], 600],
  ["a match length that is cut off", [0x1f, 1, 1, 0, 255], 300],
  ["too little", [0x10, 1], 2],
])("%s", (_, block, size) => {
  test("is refused", () => {
    expect(() => decode(Uint8Array.from(block), size)).toThrow(expect.objectContaining({ code: Code.CORRUPT_PAYLOAD }));
  });
});

test("a match that overlaps its copy repeats, at every distance", () => {
  for (let distance = 1; distance <= 40; distance++) {
    const start = Uint8Array.from({ length: distance }, (_, index) => index + 1);
    const literals = distance < 15 ? [distance << 4] : [0xf0, distance - 15];
    const block = Uint8Array.from([literals[0] | 15, ...literals.slice(1), ...start, distance, 0, 60, 0x10, 99]);
    const decoded = decode(block, distance + 79 + 1);
    expect(decoded[distance + 79]).toBe(99);
    expect(decoded.subarray(0, -1).every((byte, index) => byte === (index % distance) + 1)).toBe(true);
  }
});

test("damaged blocks are decoded or refused, and write nothing outside", () => {
  const random = new Random(3);
  for (let round = 0; round < 3000; round++) {
    const bytes = payload(random).subarray(0, 600);
    const block = encodeLz4(bytes, 2000)?.slice() ?? new Uint8Array(1);
    block[random.below(block.length)] = random.below(256);
    const memory = new Uint8Array(bytes.length + 64);
    try {
      LZ4.decodeInto(block, memory.subarray(32, 32 + bytes.length));
    } catch (error) {
      expect(error).toMatchObject({ code: Code.CORRUPT_PAYLOAD });
    }
    expect([...memory.subarray(0, 32), ...memory.subarray(-32)].every((byte) => byte === 0)).toBe(true);
  }
});

test("a few bytes that declare a large payload are refused before memory is allocated for it", () => {
  expect(() => LZ4.checkSize(new Uint8Array(10), 2550)).not.toThrow();
  expect(() => LZ4.checkSize(new Uint8Array(10), 2551)).toThrow(
    expect.objectContaining({ code: Code.CORRUPT_PAYLOAD }),
  );
});
