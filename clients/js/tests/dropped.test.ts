/** Dropped handles, whose memory is really collected, with a gateway that the test plays. */

import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { Client } from "../src/client.ts";
import type { Message } from "../src/messages/message.ts";
import type { SubscribeOptions } from "../src/options.ts";
import { Opcode } from "../src/protocol/wire.ts";
import { arrival, type Stage, settled, staged, streamInfo } from "./fakes.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Collect garbage, and let the platform tell of it. */
async function collected(): Promise<void> {
  for (let turns = 0; turns < 5; turns++) {
    collect();
    await setImmediate();
  }
}

/** Subscribe, and return what `use` makes of the handle. */
async function subscribed<T>(
  stage: Stage,
  use: (subscription: Awaited<ReturnType<Client["subscribe"]>>) => T,
  options: SubscribeOptions = {},
): Promise<T> {
  const subscribing = new Client(stage.parts).subscribe("wf/*", options);
  await settled();
  const [{ request, subscription }] = stage.wire.takenOf(Opcode.SUBSCRIBE);
  stage.wire.receive({ opcode: Opcode.SUBSCRIBED, request, subscription });
  return use(await subscribing);
}

test("a subscription that is dropped is closed with keep", async () => {
  const stage = await staged();
  const { signal } = new AbortController();
  await subscribed(stage, () => undefined, { signal });
  await collected();
  expect(stage.wire.takenOf(Opcode.UNSUBSCRIBE)).toMatchObject([{ subscription: 1, keep: true }]);
});

test("iterators, a call that waits, and a callback hold their subscription", async () => {
  const stage = await staged();
  const [iterator, waiting] = [
    await subscribed(stage, (found) => found.batches()),
    await subscribed(stage, (found) => [found.next()]),
  ];
  await subscribed(stage, () => undefined, { onMessage: () => undefined });
  await collected();
  expect(stage.wire.takenOf(Opcode.UNSUBSCRIBE)).toEqual([]);
  stage.wire.receive(streamInfo({ since: 0n }), arrival());
  expect((await waiting[0])?.offset).toBe(0n);
  expect((await iterator.next()).value?.count).toBe(1);
});

test("a message that the program has to acknowledge holds its subscription", async () => {
  const stage = await staged({ clientId: "me" });
  const kept: Message[] = [];
  await subscribed(
    stage,
    async (found) => {
      stage.wire.receive(streamInfo({ kind: "control" }), arrival());
      kept.push((await found.next()) as Message);
    },
    { autoAck: false },
  );
  await collected();
  expect(stage.wire.takenOf(Opcode.UNSUBSCRIBE)).toEqual([]);
  kept.pop()?.ack();
  await settled();
  expect(stage.wire.takenOf(Opcode.DONE)).toMatchObject([{ code: 0, first: 0n }]);
  await collected();
  expect(stage.wire.takenOf(Opcode.UNSUBSCRIBE)).toMatchObject([{ keep: true }]);
});

test("an inbox that is dropped is closed, and what waits in it is answered with a failure", async () => {
  const stage = await staged();
  const opened = async (): Promise<void> => {
    const opening = new Client(stage.parts).inbox();
    await settled();
    const [{ request, subscription }] = stage.wire.takenOf(Opcode.SUBSCRIBE);
    stage.wire.receive({ opcode: Opcode.SUBSCRIBED, request, subscription });
    await opening;
  };
  await opened();
  stage.wire.receive(arrival({ opcode: Opcode.REQUEST, stream: 0, offset: 3n }));
  await collected();
  const sent = stage.wire.taken();
  expect(new Set(sent.map(({ opcode }) => opcode))).toEqual(new Set([Opcode.REPLY, Opcode.UNSUBSCRIBE]));
});

test("a presence that is dropped is left", async () => {
  const stage = await staged();
  const attended = async (): Promise<void> => {
    const attending = new Client(stage.parts).presence("wf", { metadata: {}, watch: "count" });
    await settled();
    const [{ request, scope }] = stage.wire.takenOf(Opcode.ATTEND);
    stage.wire.receive({ opcode: Opcode.ATTENDING, request, scope, count: 1 });
    await attending;
  };
  await attended();
  await collected();
  const [left] = stage.wire.takenOf(Opcode.ATTEND);
  expect(left).toMatchObject({ scope: "wf" });
  expect(left.metadata).toBeUndefined();
});
