import { expect, test } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import type { Arrival, Inbound } from "../../src/session/wire.ts";
import { buffersOf } from "../../src/worker/wire_host.ts";
import { joinedByChannel, recordedEvents } from "./channel.ts";

function arrival(payload: Uint8Array, patch?: Arrival["patch"]): Arrival {
  return {
    opcode: Opcode.MESSAGE,
    flags: 0,
    stream: 1,
    publisher: 2,
    offset: 2n ** 63n,
    timestamp_ns: 0n,
    specs: [{ name: "", dtype: "uint8", shape: [payload.byteLength] }],
    headers: { big: 2n ** 60n },
    payload,
    patch,
    arrived_ns: 5n,
  };
}

test("payloads of one WebSocket message are views of one buffer at the page, and the worker has it no more", async () => {
  const { wires, far, settle } = joinedByChannel();
  const { events, items } = recordedEvents();
  wires.connect("ws://gateway/", events);
  await settle();
  const message = Uint8Array.from({ length: 64 }, (_, index) => index);
  far.made[0].events.received([arrival(message.subarray(8, 16)), arrival(message.subarray(32))]);
  expect(message.buffer.byteLength).toBe(0);
  await settle();
  const [first, second] = items as Arrival[];
  expect(first).toEqual(arrival(Uint8Array.of(8, 9, 10, 11, 12, 13, 14, 15)));
  expect(second.payload[0]).toBe(32);
  expect(second.payload.buffer).toBe(first.payload.buffer);
  expect(first.payload.buffer.byteLength).toBe(64);
});

test("each buffer is handed over once, also that of a patch", () => {
  const one = new Uint8Array(8);
  const two = new Uint8Array(8);
  const patch = { spec: { name: "", dtype: "uint8", shape: [1] }, extents: [], payload: two.subarray(1) } as const;
  const pong: Inbound = { opcode: Opcode.PONG, t0: 0n, t1: 0n, t2: 0n };
  expect(buffersOf([arrival(one), pong, arrival(one.subarray(4), patch)])).toEqual([one.buffer, two.buffer]);
  expect(buffersOf([pong])).toEqual([]);
});

test("orders for a connection that has ended are left out", async () => {
  const { wires, far, settle } = joinedByChannel();
  const wire = wires.connect("ws://gateway/", recordedEvents().events);
  await settle();
  far.made[0].events.closed({ code: 1000, reason: "", resumable: {} });
  wire.send([new Uint8Array(2 ** 20)]);
  wire.abort(4000, "late");
  await settle();
  expect([far.made[0].sent, far.made[0].ended]).toEqual([[], []]);
});
