import { expect, test, vi } from "vitest";
import { ReceiveBuffer, type Waiting } from "../../src/messages/receive_buffer.ts";
import { Received } from "../../src/messages/received.ts";
import { arrival } from "../fakes.ts";

function waiting(name: string, offset: bigint, arrivedMs = 0): Waiting {
  const source = { name, epoch: 1, kind: "state", observed: false } as const;
  const received = new Received(source, arrival({ offset, payload: new Uint8Array(10) }), 0n);
  return { received, first: 0, pending: undefined, credit: undefined, arrivedMs, afterConflated: false };
}

function offsetOf(found: Waiting | undefined): bigint | undefined {
  return found?.received.arrival.offset;
}

test("a version takes the place of the one before it, and keeps its turn", () => {
  const buffer = new ReceiveBuffer();
  expect(buffer.add(waiting("a", 1n, 5), true)).toBeUndefined();
  buffer.add(waiting("b", 1n), true);
  expect(offsetOf(buffer.add(waiting("a", 2n, 9), true))).toBe(1n);
  expect([buffer.size, buffer.bytes, buffer.oldestMs]).toEqual([2, 20, 5]);
  const first = buffer.take();
  expect([first?.received.source.name, offsetOf(first), first?.afterConflated]).toEqual(["a", 2n, true]);
  expect(buffer.add(waiting("a", 3n), true)).toBeUndefined();
  expect([offsetOf(buffer.take()), offsetOf(buffer.take()), buffer.take(), buffer.bytes]).toEqual([
    1n,
    3n,
    undefined,
    0,
  ]);
});

test("without conflation all wait in order, however many", () => {
  const buffer = new ReceiveBuffer();
  for (let offset = 0n; offset < 500n; offset++) {
    buffer.add(waiting("a", offset), false);
  }
  for (let offset = 0n; offset < 500n; offset++) {
    expect(offsetOf(buffer.take())).toBe(offset);
  }
});

test("whoever waits gets the next message at once", async () => {
  const buffer = new ReceiveBuffer();
  const next = buffer.next();
  buffer.add(waiting("a", 7n), true);
  expect([offsetOf(await next), buffer.size, buffer.bytes]).toEqual([7n, 0, 0]);
});

test("what waits at the end can still be taken, and then comes the end, or its error", async () => {
  const buffer = new ReceiveBuffer();
  buffer.whenFilled = vi.fn();
  buffer.add(waiting("a", 1n), true);
  buffer.end(new Error("closed"));
  buffer.end();
  expect(offsetOf(await buffer.next())).toBe(1n);
  await expect(buffer.next()).rejects.toThrow("closed");
  expect(buffer.whenFilled).toHaveBeenCalledTimes(2);
  const other = new ReceiveBuffer();
  const next = other.next();
  other.end();
  expect([await next, await other.next(), other.over]).toEqual([undefined, undefined, true]);
});
