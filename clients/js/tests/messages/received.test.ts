import { expect, test } from "vitest";
import { Received } from "../../src/messages/received.ts";
import { arrival } from "../fakes.ts";

const SOURCE = { name: "wf/a", epoch: 1, kind: "event", observed: false } as const;

test("tensors are made once, over the received memory", () => {
  const received = new Received(SOURCE, arrival(), 1_770_000_000_250_000_000n);
  expect(received.tensors).toBe(received.tensors);
  expect(received.tensorsOf(0)).toBe(received.tensors);
  expect([received.latencyS, received.count]).toEqual([0.25, 1]);
});

test("records of a batch are parts of its payload, and a latency is never below 0", () => {
  const found = arrival({ payload: Uint8Array.of(1, 2, 3, 4, 5, 6), count: 3 });
  const received = new Received(SOURCE, found, 0n);
  expect([0, 1, 2].map((record) => [...received.tensorsOf(record)[0].bytes])).toEqual([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  expect([received.latencyS, received.tensors[0].shape]).toEqual([0, [3, 2]]);
});
