import { expect, test } from "vitest";
import { bytesOf } from "../../src/protocol/buffers.ts";
import type { Subscribe } from "../../src/protocol/messages.ts";
import { writeSession } from "../../src/protocol/session_body.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { partsOf } from "../../src/subscribing/resubscription.ts";

const ASKED: Subscribe = {
  opcode: Opcode.SUBSCRIBE,
  request: 1,
  subscription: 2,
  pattern: "**",
  observe: true,
  resume: { "wf/large": [9, 3] },
};
const COUNTS = { delivered: 2n ** 50n, conflated: 2n ** 50n, dropped: 2n ** 50n, replayed: 2n ** 50n, expired: 1n };

test("many positions come in parts, of which all but the last say more", () => {
  const streams = Array.from({ length: 1000 }, (_, index) => ({
    stream: `wf/stream-${index}`,
    position: [1_770_000_000_000, BigInt(index)] as const,
    counts: COUNTS,
  }));
  const parts = partsOf(ASKED, streams, 64 * 1024) as Subscribe[];
  expect(parts.length).toBeGreaterThan(3);
  expect(parts.every((part) => bytesOf(writeSession(part)) <= 64 * 1024)).toBe(true);
  expect(parts.map(({ more }) => more)).toEqual([...Array(parts.length - 1).fill(true), undefined]);
  expect(parts.map(({ resume }) => resume !== undefined)).toEqual([true, ...Array(parts.length - 1).fill(false)]);
  const names = parts.flatMap(({ since }) => Object.keys(since as object));
  expect(names).toEqual(streams.map(({ stream }) => stream));
  expect(parts.flatMap(({ account }) => Object.keys(account ?? {}))).toEqual(names);
  expect(parts.at(-1)?.observe).toBe(true);
});

test("few come in one", () => {
  expect(partsOf(ASKED, [], 64 * 1024)).toEqual([{ ...ASKED, since: {}, account: {} }]);
});
