import { expect, test, vi } from "vitest";
import { Code } from "../../src/errors.ts";
import { HIGH_WATER_BYTES, LOW_WATER_BYTES } from "../../src/session/wire.ts";
import type { WorkerLike } from "../../src/worker/start.ts";
import { WorkerWires } from "../../src/worker/worker_wires.ts";
import { FakeClock } from "../fakes.ts";
import { joinedByChannel, recordedEvents } from "./channel.ts";

test("a connection is that of the worker", async () => {
  const { wires, far, settle } = joinedByChannel(1000);
  const { events, seen } = recordedEvents();
  const wire = wires.connect("ws://gateway/", events);
  wire.send([Uint8Array.of(1, 2), Uint8Array.of(3)]);
  wires.forget(["a/b"]);
  wire.close(1000, "done");
  await settle();
  const [made] = far.made;
  expect([made.url, far.maxMessageBytes, far.forgotten]).toEqual(["ws://gateway/", 1000, ["a/b"]]);
  expect(made.sent).toEqual([Uint8Array.of(1, 2, 3)]);
  expect(made.ended).toEqual(["close 1000 done"]);
  made.events.opened();
  made.events.closed({ code: 1006, reason: "lost", resumable: {} });
  await settle();
  expect(seen).toEqual(["opened", "closed 1006 lost"]);
});

test("buffers that were sent may be used again", async () => {
  const { wires, far, settle } = joinedByChannel();
  const frame = Uint8Array.of(1, 2);
  wires.connect("ws://gateway/", recordedEvents().events).send([frame]);
  frame.fill(9);
  await settle();
  expect(far.made[0].sent).toEqual([Uint8Array.of(1, 2)]);
});

test("connections are told apart, and nothing follows the end of one", async () => {
  const { wires, far, settle, counts } = joinedByChannel();
  const first = recordedEvents();
  const second = recordedEvents();
  const wire = wires.connect("ws://one/", first.events);
  wires.connect("ws://two/", second.events);
  wire.abort(4000, "silent");
  await settle();
  far.made[0].events.opened();
  far.made[1].events.opened();
  await settle();
  expect([first.seen, second.seen, counts.started]).toEqual([["closed 4000 silent"], ["opened"], 1]);
});

test("a writer waits while more than a megabyte is unsent, and is told when there is room", async () => {
  const { wires, far, settle } = joinedByChannel();
  const { events, seen } = recordedEvents();
  const wire = wires.connect("ws://gateway/", events);
  await settle();
  const [made] = far.made;
  made.unsentBytes = LOW_WATER_BYTES + 1;
  for (const bytes of [LOW_WATER_BYTES, 1, HIGH_WATER_BYTES]) {
    wire.send([new Uint8Array(bytes)]);
  }
  expect(wire.unsentBytes).toBe(LOW_WATER_BYTES + 1 + HIGH_WATER_BYTES);
  await settle();
  expect(seen).toEqual([]);
  made.unsentBytes = LOW_WATER_BYTES;
  const wait = { timeout: 30_000 };
  await vi.waitUntil(() => seen.length > 0, wait);
  expect(seen).toEqual(["drained"]);
  await vi.waitUntil(() => wire.unsentBytes === 0, wait);
});

test("small messages do not add up to a full socket", async () => {
  const { wires, settle } = joinedByChannel();
  const { events, seen } = recordedEvents();
  const wire = wires.connect("ws://gateway/", events);
  for (let turn = 0; turn < 40; turn++) {
    wire.send([new Uint8Array(100_000)]);
    await settle();
  }
  expect(wire.unsentBytes).toBeLessThan(HIGH_WATER_BYTES);
  expect(seen).toEqual([]);
});

test.each([
  ["", "the worker cannot be started; let the page's policy allow it (worker-src), or connect with worker: false"],
  ["ReferenceError: x", "the worker has failed: ReferenceError: x"],
])("a worker that fails ends its connections for good: %j", (message, problem) => {
  const { wires, fail, counts } = joinedByChannel();
  const { events, seen } = recordedEvents();
  wires.connect("ws://gateway/", events);
  fail(message);
  expect(seen).toEqual([`closed ${Code.PROTOCOL_ERROR} ${problem}`]);
  expect(counts).toEqual({ started: 1, ended: 1 });
});

test("a worker that does not end a connection in time is given up, and the next connection has another one", async () => {
  const clock = new FakeClock();
  const orders: unknown[][] = [];
  let ended = 0;
  const start = (): WorkerLike => {
    const received: unknown[] = [];
    orders.push(received);
    const postMessage = (order: unknown) => received.push(order);
    return { onmessage: null, onerror: null, onmessageerror: null, postMessage, terminate: () => ended++ };
  };
  const wires = new WorkerWires(undefined, start, clock);
  const [aborted, other, later] = [recordedEvents(), recordedEvents(), recordedEvents()];
  const wire = wires.connect("ws://gateway/", aborted.events);
  wires.connect("ws://gateway/", other.events);
  wire.abort(4000, "silent");
  wire.abort(4000, "again");
  await clock.pass(1000);
  expect(aborted.seen).toEqual([]);
  await clock.pass(2000);
  expect(aborted.seen).toEqual(["closed 4000 silent; the worker does not answer"]);
  expect(other.seen).toEqual(["closed 4000 silent; the worker does not answer"]);
  wires.connect("ws://gateway/", later.events);
  expect([orders.map(({ length }) => length), ended, clock.timers]).toEqual([[5, 2], 1, 0]);
});

test("a worker that the platform refuses is an end as well, which comes after the call", async () => {
  const { events, seen } = recordedEvents();
  const wires = new WorkerWires(undefined, () => {
    throw new Error("no workers here");
  });
  wires.connect("ws://gateway/", events);
  expect(seen).toEqual([]);
  await Promise.resolve();
  expect(seen).toEqual([expect.stringContaining("cannot be started: Error: no workers here; let the page's policy")]);
});

test("the worker begins with the first connection, and ends with its client", () => {
  const { wires, counts } = joinedByChannel();
  wires.forget(["a/b"]);
  wires.end();
  expect(counts).toEqual({ started: 0, ended: 0 });
  const wire = wires.connect("ws://gateway/", recordedEvents().events);
  wires.end();
  wire.send([Uint8Array.of(1)]);
  wires.forget(["a/b"]);
  expect(counts).toEqual({ started: 1, ended: 1 });
});
