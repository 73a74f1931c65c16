/** Frames of the gateway to subscriptions, with a gateway that the test plays. */

import { describe, expect, test, vi } from "vitest";
import { Client } from "../../src/client.ts";
import { Code, RequestRefused } from "../../src/errors.ts";
import type { SubscribeOptions } from "../../src/options.ts";
import type { Subscribe } from "../../src/protocol/messages.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import type { Subscription } from "../../src/subscribing/subscription.ts";
import { arrival, type FakeWire, type Stage, settled, staged, streamInfo } from "../fakes.ts";

/** Answer the SUBSCRIBE that was sent last, and return it. */
async function answer(wire: FakeWire): Promise<Subscribe> {
  await settled();
  const asked = wire.takenOf(Opcode.SUBSCRIBE).at(-1);
  if (!asked) {
    throw new Error("nothing was asked");
  }
  wire.receive({ opcode: Opcode.SUBSCRIBED, request: asked.request, subscription: asked.subscription, positions: 1n });
  await settled();
  return asked;
}

async function subscribed(
  stage: Stage,
  options: SubscribeOptions = {},
  pattern = "wf/*",
): Promise<{ client: Client; subscription: Subscription; asked: Subscribe }> {
  const client = new Client(stage.parts);
  const subscribing = client.subscribe(pattern, options);
  const asked = await answer(stage.wire);
  return { client, subscription: await subscribing, asked };
}

test("SUBSCRIBE names credits and whether the client observes", async () => {
  const stage = await staged();
  const { asked } = await subscribed(stage, { since: 5, credits: { messages: 3, bytes: 100 } });
  expect(asked).toMatchObject({ since: 5n, observe: false, credits: { messages: 3, bytes: 100n } });
  const other = await subscribed(await staged());
  expect(other.asked).toMatchObject({ observe: true, credits: { messages: 1024, bytes: 16_777_216n } });
  const named = await subscribed(await staged({ clientId: "me" }));
  expect(named.asked.observe).toBe(false);
  const panel = await subscribed(await staged({ clientId: "me", clientType: "admin_panel" }));
  expect(panel.asked.observe).toBe(true);
});

test("a STREAM before SUBSCRIBED answers another subscription, whose messages are not for the new one", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  const { subscription: first } = await subscribed(stage);
  const subscribing = client.subscribe("wf/*");
  await settled();
  stage.wire.receive(streamInfo({ since: 0n }), arrival({ offset: 0n }));
  await answer(stage.wire);
  const second = await subscribing;
  stage.wire.receive(streamInfo({ since: 1n }), arrival({ offset: 1n }));
  expect([(await first.next())?.offset, (await first.next())?.offset, (await second.next())?.offset]).toEqual([
    0n,
    1n,
    1n,
  ]);
});

test("messages come in order, once, and only behind the STREAM that is for the subscription", async () => {
  const stage = await staged();
  const { subscription } = await subscribed(stage);
  stage.wire.receive(
    streamInfo({ since: 3n }),
    arrival({ offset: 3n }),
    arrival({ offset: 3n }),
    arrival({ offset: 4n }),
  );
  stage.wire.receive(arrival({ stream: 99, offset: 5n }));
  expect([(await subscription.next())?.offset, (await subscription.next())?.offset]).toEqual([3n, 4n]);
  expect(subscription.counts).toMatchObject({ received: 2n, duplicates: 1n });
});

test("a message of two subscriptions goes to both, and one of a view to that alone", async () => {
  const stage = await staged();
  const one = await subscribed(stage);
  const other = await subscribed(stage, { view: { dtype: "uint8" } });
  stage.wire.receive(streamInfo({ since: 0n }), arrival());
  stage.wire.receive(streamInfo({ id: 9, since: 0n, subscription: other.asked.subscription }), arrival({ stream: 9 }));
  await one.subscription.next();
  await other.subscription.next();
  expect([one.subscription.counts.received, other.subscription.counts.received]).toEqual([1n, 1n]);
  expect(other.asked.view).toEqual({ dtype: "uint8" });
});

describe("states", () => {
  test("the newest version waits, and the replaced ones are reported with the heartbeat", async () => {
    const stage = await staged();
    const { subscription } = await subscribed(stage);
    stage.wire.receive(streamInfo({ kind: "state", since: 0n }));
    stage.wire.receive(arrival({ offset: 0n }), arrival({ offset: 1n }), arrival({ offset: 4n }));
    expect((await subscription.next())?.offset).toBe(4n);
    stage.wire.taken();
    await stage.clock.pass(20_000);
    expect(stage.wire.takenOf(Opcode.CONFLATED)).toEqual([{ opcode: Opcode.CONFLATED, stream: 7, count: 2n }]);
    expect(subscription.account.get("wf/a")).toMatchObject({ delivered: 3n, conflated: 2n, client_conflated: 2n });
    expect(subscription.counts.conflated).toBe(4n);
  });

  test("with conflate off every version that arrives waits", async () => {
    const stage = await staged();
    const { subscription } = await subscribed(stage, { conflate: false });
    stage.wire.receive(streamInfo({ kind: "state", since: 0n }), arrival({ offset: 0n }), arrival({ offset: 1n }));
    expect([(await subscription.next())?.offset, (await subscription.next())?.offset]).toEqual([0n, 1n]);
  });

  test("of a record batch only the last record waits", async () => {
    const stage = await staged();
    const { subscription } = await subscribed(stage);
    const batch = arrival({ opcode: Opcode.BATCH, count: 3, payload: Uint8Array.of(1, 2, 3) });
    stage.wire.receive(streamInfo({ kind: "state", since: 0n }), batch);
    const message = await subscription.next();
    expect([message?.offset, [...(message?.tensor.bytes ?? [])]]).toEqual([2n, [3]]);
  });

  test("a version that cannot be read is asked for once, and its keyframe is delivered", async () => {
    const stage = await staged();
    const { subscription } = await subscribed(stage);
    stage.wire.receive(streamInfo({ kind: "state", since: 0n }), arrival({ offset: 0n }));
    await subscription.next();
    const failure = { opcode: "failure", of: Opcode.MESSAGE, stream: 7, publisher: 1, count: 1 } as const;
    const problem = { declared_bytes: 9, code: Code.CORRUPT_PAYLOAD, problem: "no base", needs_keyframe: true };
    stage.wire.receive({ ...failure, ...problem, offset: 1n }, { ...failure, ...problem, offset: 2n });
    await settled();
    expect(stage.wire.takenOf(Opcode.REFRESH).length).toBe(1);
    expect(stage.errors.map((error) => (error as RequestRefused).code)).toEqual([
      Code.CORRUPT_PAYLOAD,
      Code.CORRUPT_PAYLOAD,
    ]);
    stage.wire.receive(arrival({ offset: 2n }));
    expect((await subscription.next())?.offset).toBe(2n);
    expect(subscription.counts).toMatchObject({ failed: 1n, received: 3n });
  });
});

describe("credit", () => {
  test("what was taken, conflated, repeated or aborted is granted again, and not what waits", async () => {
    const stage = await staged();
    const { subscription } = await subscribed(stage, { observe: false, credits: { messages: 8, bytes: 1_000_000 } });
    const granted = async () => {
      await settled();
      return stage.wire.takenOf(Opcode.CREDIT).reduce((sum, { messages }) => sum + messages, 0);
    };
    stage.wire.receive(streamInfo({ kind: "state", since: 0n }));
    stage.wire.receive(arrival({ offset: 0n }), arrival({ offset: 1n }), arrival({ offset: 2n }));
    stage.wire.receive({
      opcode: "head",
      of: Opcode.MESSAGE,
      stream: 7,
      publisher: 1,
      correlation: 0n,
      transfer: 5,
      payload_bytes: 100,
    });
    expect(await granted()).toBe(0);
    stage.wire.receive({ opcode: Opcode.ABORT, transfer: 5, code: Code.TRANSFER_ABORTED });
    stage.wire.receive(arrival({ offset: 2n }));
    expect(await granted()).toBe(4); // two conflated, one aborted, one repeated
    await subscription.next();
    stage.wire.receive({
      opcode: "head",
      of: Opcode.MESSAGE,
      stream: 7,
      publisher: 1,
      correlation: 0n,
      transfer: 6,
      payload_bytes: 900_000,
    });
    stage.wire.receive(arrival({ offset: 3n, transfer: 6 }));
    expect(await granted()).toBe(0);
    await subscription.next();
    expect(await granted()).toBe(2);
  });

  test("what cannot be read is granted again as well, with the size that it declares", async () => {
    const stage = await staged();
    await subscribed(stage, { credits: { messages: 100, bytes: 1000 } });
    const failure = { opcode: "failure", of: Opcode.MESSAGE, stream: 7, publisher: 1, count: 1 } as const;
    const problem = { code: Code.UNKNOWN_CODEC, problem: "no such codec", needs_keyframe: false };
    stage.wire.receive(streamInfo({ since: 0n }), { ...failure, ...problem, offset: 0n, declared_bytes: 600 });
    await settled();
    expect(stage.wire.takenOf(Opcode.CREDIT)).toMatchObject([{ messages: 1, nbytes: 600n }]);
  });

  test("acknowledged messages are granted again when they are answered", async () => {
    const stage = await staged({ clientId: "me" });
    const { subscription } = await subscribed(stage, { credits: { messages: 2, bytes: 100 } });
    stage.wire.receive(streamInfo({ kind: "collaboration", since: 0n }), arrival());
    await subscription.next();
    await settled();
    expect(stage.wire.takenOf(Opcode.CREDIT)).toEqual([]);
    subscription.next();
    await settled();
    expect(stage.wire.taken().map(({ opcode }) => opcode)).toEqual([Opcode.CREDIT, Opcode.DONE]);
  });
});

describe("acknowledgement", () => {
  test("a message is done when the next one is asked for, and when the subscription is closed", async () => {
    const stage = await staged({ clientId: "me" });
    const { subscription } = await subscribed(stage);
    stage.wire.receive(streamInfo({ kind: "control", since: 0n }), arrival(), arrival({ offset: 1n }));
    await subscription.next();
    await subscription.next();
    await settled();
    expect(stage.wire.takenOf(Opcode.DONE)).toEqual([{ opcode: Opcode.DONE, stream: 7, code: 0, first: 0n, last: 0n }]);
    const closing = subscription.close();
    await settled();
    const [done, unsubscribe] = stage.wire.taken();
    expect(done).toMatchObject({ opcode: Opcode.DONE, first: 1n });
    expect(unsubscribe).toMatchObject({ opcode: Opcode.UNSUBSCRIBE, keep: undefined });
    stage.wire.receive({ ...(unsubscribe as { request: number; subscription: number }), opcode: Opcode.UNSUBSCRIBED });
    await closing;
  });

  test("a message whose callback fails is refused, and the next one follows", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const stage = await staged({ clientId: "me" });
    const onMessage = ({ offset }: { offset: bigint }): void => {
      if (!offset) {
        throw new Error("of the program");
      }
    };
    await subscribed(stage, { onMessage });
    stage.wire.receive(streamInfo({ kind: "control", since: 0n }), arrival(), arrival({ offset: 1n }));
    await settled();
    expect(stage.wire.takenOf(Opcode.DONE)).toMatchObject([
      { code: Code.NOT_PROCESSED, first: 0n, last: 0n },
      { code: 0, first: 1n, last: 1n },
    ]);
    warn.mockRestore();
  });

  test("closing with keep answers nothing", async () => {
    const stage = await staged({ clientId: "me" });
    const { subscription } = await subscribed(stage);
    stage.wire.receive(streamInfo({ kind: "control", since: 0n }), arrival());
    await subscription.next();
    subscription.close({ keep: true });
    await settled();
    expect(stage.wire.taken()).toEqual([expect.objectContaining({ opcode: Opcode.UNSUBSCRIBE, keep: true })]);
  });

  test("a batch is done with its last record, and a refused record refuses it", async () => {
    const stage = await staged({ clientId: "me" });
    const { subscription } = await subscribed(stage, { autoAck: false });
    const batch = { opcode: Opcode.BATCH, count: 2, payload: Uint8Array.of(1, 2) } as const;
    stage.wire.receive(
      streamInfo({ kind: "collaboration", since: 0n }),
      arrival(batch),
      arrival({ ...batch, offset: 2n }),
    );
    const [first, second, third] = [await subscription.next(), await subscription.next(), await subscription.next()];
    first?.ack();
    first?.ack();
    await settled();
    expect(stage.wire.takenOf(Opcode.DONE)).toEqual([]);
    second?.ack();
    third?.nack(9);
    await settled();
    expect(stage.wire.takenOf(Opcode.DONE)).toEqual([
      { opcode: Opcode.DONE, stream: 7, code: 0, first: 0n, last: 1n },
      { opcode: Opcode.DONE, stream: 7, code: 9, first: 2n, last: 3n },
    ]);
  });

  test("what waits and what the program is at is reported before the answer to a PING that asks", async () => {
    const stage = await staged({ clientId: "me" });
    const { subscription } = await subscribed(stage);
    stage.wire.receive(streamInfo({ kind: "control", since: 0n }), arrival(), arrival({ offset: 1n }));
    await subscription.next();
    stage.wire.receive({ opcode: Opcode.PING, t0: 1n, report: true });
    await settled();
    const [report, pong] = stage.wire.taken();
    expect(report).toEqual({ opcode: Opcode.IN_PROGRESS, stream: 7, first: 0n, last: 1n });
    expect(pong.opcode).toBe(Opcode.PONG);
  });

  test("a message that cannot be read is answered as not processed", async () => {
    const stage = await staged({ clientId: "me" });
    await subscribed(stage);
    const failure = { opcode: "failure", of: Opcode.MESSAGE, stream: 7, publisher: 1, count: 1, offset: 0n } as const;
    stage.wire.receive(streamInfo({ kind: "collaboration", since: 0n }));
    stage.wire.receive({
      ...failure,
      declared_bytes: 9,
      code: Code.CORRUPT_PAYLOAD,
      problem: "x",
      needs_keyframe: false,
    });
    await settled();
    expect(stage.wire.takenOf(Opcode.DONE)[0]).toMatchObject({ code: Code.CORRUPT_PAYLOAD, first: 0n });
  });
});

describe("another connection", () => {
  test("is asked for what follows, and for the rest of a large message", async () => {
    const stage = await staged();
    const { subscription } = await subscribed(stage);
    stage.wire.receive(streamInfo({ since: 0n }), arrival());
    const wire = await stage.again({ "wf/a": [90, 3], "other/a": [91, 1] });
    const asked = await answer(wire);
    expect(asked).toMatchObject({ since: { "wf/a": [1, 1n] }, resume: { "wf/a": [90, 3] } });
    expect(asked.account).toEqual({ "wf/a": expect.objectContaining({ delivered: 1n }) });
    wire.receive(streamInfo({ id: 70, since: 1n }), arrival({ stream: 70, offset: 1n }));
    expect([(await subscription.next())?.offset, (await subscription.next())?.offset]).toEqual([0n, 1n]);
  });

  test("a subscription that it refuses ends with the error", async () => {
    const stage = await staged();
    const { subscription } = await subscribed(stage);
    const wire = await stage.again();
    const [asked] = wire.takenOf(Opcode.SUBSCRIBE);
    const error = { opcode: Opcode.ERROR, code: Code.FORBIDDEN, error: "FORBIDDEN", message: "no more" } as const;
    wire.receive({ ...error, request: asked.request });
    await expect(subscription.next()).rejects.toThrow(RequestRefused);
  });

  test("streams that are gone are forgotten", async () => {
    const stage = await staged();
    await subscribed(stage);
    stage.wire.receive(streamInfo({ since: 0n }), streamInfo({ id: 8, stream: "wf/b", since: 0n }));
    const wire = await stage.again();
    await answer(wire);
    wire.receive(streamInfo({ since: 0n }));
    expect(stage.wires.forgotten).toContain("wf/b");
  });
});

test("GAP and REPLAY are counted, and an end is told", async () => {
  const stage = await staged();
  const gaps: unknown[] = [];
  const ended: unknown[] = [];
  const { subscription } = await subscribed(stage, {
    onGap: (gap) => gaps.push(gap),
    onEnded: (end) => ended.push(end),
  });
  const range = { stream: 7, code: Code.QUEUE_FULL } as const;
  stage.wire.receive(streamInfo({ since: 0n }), { opcode: Opcode.REPLAY, ...range, first: 0n, last: 0n }, arrival());
  stage.wire.receive({ opcode: Opcode.GAP, ...range, first: 1n, last: 3n });
  stage.wire.receive(streamInfo({ ended: "deleted" }));
  expect(subscription.counts).toMatchObject({ replayed: 1n, dropped: 3n });
  expect(gaps).toEqual([{ stream: "wf/a", code: Code.QUEUE_FULL, first: 1n, last: 3n }]);
  expect(ended).toEqual([{ stream: "wf/a", epoch: 1, reason: "deleted" }]);
});

test("an ERROR that names a subscription goes to its onError", async () => {
  const stage = await staged();
  const errors: Error[] = [];
  const { asked } = await subscribed(stage, { onError: (error) => errors.push(error) });
  const error = { opcode: Opcode.ERROR, code: Code.INVALID_VIEW, error: "INVALID_VIEW", stream: "wf/a" } as const;
  stage.wire.receive({ ...error, message: "does not fit", subscription: asked.subscription });
  expect(errors[0].message).toMatch(/^wf\/a: does not fit/);
});

test("the account of the gateway may come in parts", async () => {
  const stage = await staged();
  const { client, subscription, asked } = await subscribed(stage);
  const account = client.account(subscription);
  await settled();
  const [{ request }] = stage.wire.takenOf(Opcode.ACCOUNT);
  const counts = { delivered: 1n, conflated: 0n, dropped: 0n, replayed: 0n, expired: 0n };
  const answered = { opcode: Opcode.ACCOUNT, request, subscription: asked.subscription } as const;
  stage.wire.receive(
    { ...answered, streams: { "wf/a": counts }, more: true },
    { ...answered, streams: { "wf/b": counts } },
  );
  expect([...(await account).keys()]).toEqual(["wf/a", "wf/b"]);
});
