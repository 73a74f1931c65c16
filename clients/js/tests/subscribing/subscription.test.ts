import { expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { Reports } from "../../src/report.ts";
import { callBack } from "../../src/subscribing/called_back.ts";
import { Subscription } from "../../src/subscribing/subscription.ts";
import { arrival, staged } from "../fakes.ts";
import { delivering, newCore } from "./cores.ts";

test("iteration gives messages, record by record, until the end", async () => {
  const { core, clock } = newCore();
  const stage = await staged();
  const subscription = new Subscription(core, stage.parts.subscriptions);
  delivering(core, arrival(), arrival({ opcode: Opcode.BATCH, offset: 1n, count: 2 }));
  core.buffer.end();
  const offsets = [];
  for await (const message of subscription) {
    offsets.push(message.offset);
  }
  expect([offsets, subscription.pattern, clock.timers]).toEqual([[0n, 1n, 2n], "wf/*", 0]);
});

test("batches are complete, and what is no record is left out and reported", async () => {
  const { core, errors } = newCore();
  const stage = await staged();
  delivering(
    core,
    arrival({ opcode: Opcode.BATCH, count: 2 }),
    arrival({ offset: 2n, specs: [] }),
    arrival({ offset: 3n }),
  );
  core.buffer.end();
  const batches = [];
  for await (const { offset, count } of new Subscription(core, stage.parts.subscriptions).batches()) {
    batches.push([offset, count]);
  }
  expect(batches).toEqual([
    [0n, 2],
    [3n, 1],
  ]);
  expect(errors.map(({ message }) => message)).toEqual([expect.stringMatching(/message 2 of wf\/a has 0 tensors/)]);
});

test("what goes to a callback cannot be iterated", async () => {
  const { core, clock } = newCore();
  callBack(core, () => undefined, new Reports(clock));
  const stage = await staged();
  await expect(new Subscription(core, stage.parts.subscriptions).next()).rejects.toThrow(UsageError);
});
