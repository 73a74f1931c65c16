import { expect, test, vi } from "vitest";
import { InvalidArgument } from "../../src/errors.ts";
import { Received } from "../../src/messages/received.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { PendingAck } from "../../src/subscribing/duplicate_filter.ts";
import { arrival, settled } from "../fakes.ts";
import { delivering, newCore } from "./cores.ts";

const TASKS = { name: "wf/tasks", epoch: 1, kind: "collaboration", observed: false } as const;
const UNIT = { epoch: 1, first: 0n, count: 1, identity: undefined };

test("credits let something in", () => {
  expect(() => newCore({ credits: { messages: 0, bytes: 5n } })).toThrow(InvalidArgument);
  expect(() => newCore({ credits: { messages: 1, bytes: 0n } })).toThrow(InvalidArgument);
});

test("a unit is held while it waits, while a loop is at it, and while the program has its message", async () => {
  const { core } = newCore();
  const settle = vi.fn();
  const pending = new PendingAck(UNIT, settle, vi.fn());
  core.deliver(new Received(TASKS, arrival(), 0n), 0, pending, undefined);
  expect(core.holds(pending)).toBe(true);
  const message = await core.nextMessage();
  expect([core.holds(pending), message?.offset]).toEqual([true, 0n]);
  core.finish();
  expect([core.holds(pending), settle.mock.calls.length, pending.processed]).toEqual([false, 1, true]);
});

test("what an ended subscription has is given up without an answer", () => {
  const { core } = newCore();
  const settle = vi.fn();
  const pending = new PendingAck(UNIT, settle, vi.fn());
  core.deliver(new Received(TASKS, arrival(), 0n), 0, pending, undefined);
  core.withdraw();
  expect([settle.mock.calls.length, pending.processed, pending.refusers]).toEqual([1, false, []]);
  core.buffer.end();
  const late = new PendingAck({ ...UNIT, first: 1n }, settle, vi.fn());
  core.deliver(new Received(TASKS, arrival({ offset: 1n }), 0n), 0, late, undefined);
  expect(core.holds(late)).toBe(false);
});

test("latest keeps the newest of each stream, whatever its kind", () => {
  const { core } = newCore({ latest: true });
  delivering(core, arrival(), arrival({ offset: 1n }), arrival({ offset: 2n }));
  expect(core.takeMessage()?.offset).toBe(2n);
  expect([core.takeMessage(), core.conflatedCount, core.unreported.size]).toEqual([undefined, 2n, 0]);
});

test("latest keeps the last record of a batch, whatever its kind, and a batch of which one record waits is answered by it", () => {
  const { core } = newCore({ latest: true, autoAck: false });
  delivering(core, arrival({ opcode: Opcode.BATCH, count: 2 }));
  expect([core.takeMessage()?.offset, core.takeMessage(), core.conflatedCount]).toEqual([1n, undefined, 1n]);
  const settle = vi.fn();
  const pending = new PendingAck({ ...UNIT, count: 2 }, settle, vi.fn());
  core.deliver(new Received(TASKS, arrival({ opcode: Opcode.BATCH, count: 2 }), 0n), 0, pending, undefined);
  core.takeMessage()?.ack();
  expect([settle.mock.calls.length, pending.processed]).toEqual([1, true]);
});

test("calls that wait at the same time get one message each, in their order, and all records of a batch", async () => {
  const { core } = newCore();
  const offsets: (bigint | undefined)[] = [];
  for (let calls = 0; calls < 4; calls++) {
    void core.nextMessage().then((message) => offsets.push(message?.offset));
  }
  await settled();
  delivering(core, arrival({ opcode: Opcode.BATCH, count: 2 }), arrival({ offset: 2n }), arrival({ offset: 3n }));
  await settled();
  expect(offsets).toEqual([0n, 1n, 2n, 3n]);
  void core.nextBatch().then((batch) => offsets.push(batch?.offset));
  const ended = core.nextMessage();
  delivering(core, arrival({ offset: 4n }));
  core.buffer.end(new Error("refused"));
  await expect(ended).rejects.toThrow("refused");
  await expect(core.nextMessage()).rejects.toThrow("refused");
  expect(offsets.at(-1)).toBe(4n);
});

test("a loop gets what has arrived before the end, the rest of a batch first", async () => {
  const { core } = newCore();
  delivering(core, arrival({ opcode: Opcode.BATCH, count: 2 }), arrival({ offset: 2n }));
  await core.nextMessage();
  core.buffer.end();
  core.withdraw();
  const offsets = [await core.nextMessage(), await core.nextMessage(), await core.nextMessage()];
  expect(offsets.map((message) => message?.offset)).toEqual([1n, 2n, undefined]);
});
