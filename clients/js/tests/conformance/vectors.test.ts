/** TypeScript reads and writes exactly the golden bytes of `spec/vectors`, which Python reads and writes as well. */

import { describe, expect, test } from "vitest";
import {
  bodyOf,
  Code,
  DTYPES,
  Flag,
  iterFrames,
  joined,
  nameOf,
  Opcode,
  PeerError,
  parseSession,
  writeSession,
} from "../../src/index.ts";
import { padded } from "../../src/protocol/wire.ts";
import { type Description, describeMessage, hasPco, hex, load, present, write } from "./vectors.ts";

const VECTORS = load();
const GOOD = VECTORS.flatMap((vector) => (vector.frames ? [{ ...vector, frames: vector.frames }] : []));
const BAD = VECTORS.flatMap((vector) => (vector.error ? [{ ...vector, error: vector.error }] : []));

async function refusalOf(message: Uint8Array, base?: Uint8Array): Promise<PeerError> {
  const caught: unknown = await describeMessage(message, base).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(caught).toBeInstanceOf(PeerError);
  return caught as PeerError;
}

describe.each(GOOD.filter((vector) => !hasPco(vector)))("$name", ({ message, frames, base }) => {
  test("is read", async () => {
    expect(present(await describeMessage(message, base))).toEqual(present(frames));
  });

  test("is read from the middle of a buffer", async () => {
    const buffer = new Uint8Array(8 + message.length + 8).fill(0x55);
    buffer.set(message, 8);
    const read = await describeMessage(buffer.subarray(8, 8 + message.length), base);
    expect(present(read)).toEqual(present(frames));
  });

  test("is refused, cut off anywhere", async () => {
    const boundaries = new Set<number>();
    let end = 0;
    for (const frame of frames) {
      end += padded(frame.frame_bytes as number);
      boundaries.add(end);
    }
    for (let size = 0; size < message.length; size += 1 + Math.floor(message.length / 100)) {
      if (!boundaries.has(size)) {
        await refusalOf(message.subarray(0, size), base);
      }
    }
  });
});

test.each(GOOD)("$name is written", ({ message, frames }) => {
  expect(hex(write(frames))).toBe(hex(message));
});

test.each(BAD.filter((vector) => !hasPco(vector)))("$name is refused", async ({ message, error, base }) => {
  expect(nameOf((await refusalOf(message, base)).code)).toBe(error);
});

test.each(VECTORS.filter((vector) => hasPco(vector)))(
  "$name needs a codec that this client does not offer",
  async ({ message, base }) => {
    expect((await refusalOf(message, base)).code).toBe(Code.UNKNOWN_CODEC);
  },
);

test.each(GOOD.filter(({ frames }) => frames[0].body))("$name is written as it was read", ({ message }) => {
  const written = [...iterFrames(message)].flatMap((frame) =>
    writeSession(parseSession(frame.opcode, bodyOf(message, frame))),
  );
  expect(hex(joined(written))).toBe(hex(message));
});

// --- what they cover -----------------------------------------------------------------------------------------------------

const FRAMES = GOOD.flatMap(({ frames }) => frames);

function all(name: string): string[] {
  return [...new Set(FRAMES.flatMap((frame) => frame[name] as string[]))].filter(Boolean).sort();
}

test("every opcode", () => {
  expect(all("opcode")).toEqual(Object.keys(Opcode).sort());
});

test("every flag", () => {
  expect(all("flags")).toEqual(Object.keys(Flag).sort());
});

test("every dtype", () => {
  const tensors = FRAMES.flatMap((frame) => (frame.tensors ?? []) as Description[]);
  expect(new Set(tensors.map((tensor) => tensor.dtype))).toEqual(new Set(DTYPES));
});
