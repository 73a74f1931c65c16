import { expect, test } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import { contentOf } from "../../src/sending/content.ts";
import { OutboundMessage } from "../../src/sending/outbound_message.ts";
import { GatewayClock } from "../../src/session/gateway_clock.ts";
import { FakeClock } from "../fakes.ts";

function message(bytes: number, expiresInNs?: bigint): OutboundMessage {
  return new OutboundMessage({
    opcode: Opcode.MESSAGE,
    content: contentOf(new Uint8Array(bytes)),
    flags: 0,
    calledNs: 100n,
    expiresInNs,
    codec: "none",
    declaration: {},
  });
}

test.each([
  [1000, 4096, true],
  [8192, 4096, true],
  [8193, 4096, false],
  [1_048_576, 524_288, true],
  [1_048_577, 524_288, false],
  [2_000_000, 2_097_152, true],
])("%d bytes in chunks of %d fit one frame: %s", (bytes, chunkBytes, expected) => {
  expect(message(bytes).fitsOneFrame(chunkBytes, 8_000_000)).toBe(expected);
});

test("a message whose answer was lost comes in chunks, so that it can be resumed", () => {
  const found = message(6000);
  found.lostMs = 1;
  expect(found.fitsOneFrame(4096, 8_000_000)).toBe(false);
});

test("chunks cover the payload", () => {
  const found = message(10_000);
  found.chunkBytes = 4096;
  expect([found.chunks, found.chunk(0), found.chunk(2), found.chunk(3)]).toEqual([
    3,
    [0, 4096],
    [8192, 10_000],
    [12_288, 12_288],
  ]);
});

test("time and deadline stay as they were sent first", () => {
  const [one, other] = [new GatewayClock(new FakeClock()), new GatewayClock(new FakeClock())];
  const t0 = other.localNs();
  other.receive({ opcode: Opcode.PONG, t0, t1: t0 + 50n, t2: t0 + 50n }, t0);
  const found = message(1, 7n);
  expect(found.extensions(one, true)).toEqual({ deadline_ns: 107n, resuming: true });
  expect([found.timestampNs(other), message(1).timestampNs(other)]).toEqual([100n, 150n]);
  expect(message(1).extensions(one, false)).toBeUndefined();
});

test("a batch that is larger than the gateway takes is several, of whole records, in their place", () => {
  const payload = Uint8Array.from({ length: 10 }, (_, index) => index);
  const content = { ...contentOf(Uint8Array.of(0, 0)), payload };
  const fields = { content, flags: 0, calledNs: 0n, codec: "none", declaration: {} } as const;
  const batch = new OutboundMessage({ ...fields, opcode: Opcode.BATCH, count: 5 });
  expect(batch.parts(10)).toEqual([batch]);
  const parts = batch.parts(5);
  const seen = parts.map(({ fields: { opcode, count, content: part } }) => [opcode, count, [...part.payload]]);
  expect(seen).toEqual([
    [Opcode.BATCH, 2, [0, 1, 2, 3]],
    [Opcode.BATCH, 2, [4, 5, 6, 7]],
    [Opcode.MESSAGE, undefined, [8, 9]],
  ]);
  expect(parts.map(({ turn }) => turn)).toEqual([batch.turn, batch.turn, batch.turn]);
  expect(batch.parts(1).map(({ payloadBytes }) => payloadBytes)).toEqual([2, 2, 2, 2, 2]);
  const message = new OutboundMessage({ ...fields, opcode: Opcode.MESSAGE });
  expect(message.parts(1)).toEqual([message]);
});
