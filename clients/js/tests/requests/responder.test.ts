/** Inboxes and replies, with a gateway that the test plays. */

import { expect, test } from "vitest";
import { Client } from "../../src/client.ts";
import { Code } from "../../src/errors.ts";
import { Flag, Opcode } from "../../src/protocol/wire.ts";
import type { Inbox } from "../../src/requests/inbox.ts";
import { ReplyQueue } from "../../src/requests/reply_queue.ts";
import { contentOf } from "../../src/sending/content.ts";
import { OutboundMessage } from "../../src/sending/outbound_message.ts";
import type { Arrival } from "../../src/session/wire.ts";
import { arrival, type FakeWire, type Stage, settled, staged } from "../fakes.ts";

const LARGE = new Uint8Array(150_000);

async function answer(wire: FakeWire, opcode: typeof Opcode.SUBSCRIBED | typeof Opcode.UNSUBSCRIBED): Promise<unknown> {
  await settled();
  const asked = opcode === Opcode.SUBSCRIBED ? wire.takenOf(Opcode.SUBSCRIBE) : wire.takenOf(Opcode.UNSUBSCRIBE);
  const [{ request, subscription }] = asked;
  wire.receive({ opcode, request, subscription });
  await settled();
  return asked[0];
}

async function opened(group?: string): Promise<{ stage: Stage; inbox: Inbox; asked: unknown }> {
  const stage = await staged({ clientId: "me" });
  const opening = new Client(stage.parts).inbox(group === undefined ? {} : { group });
  const asked = await answer(stage.wire, Opcode.SUBSCRIBED);
  return { stage, inbox: await opening, asked };
}

function request(correlation: bigint, fields: Partial<Arrival> = {}): Arrival {
  return arrival({ opcode: Opcode.REQUEST, stream: 0, publisher: 9, offset: correlation, ...fields });
}

test("an inbox is a subscription to the client's address, or to that of a group", async () => {
  expect((await opened()).asked).toMatchObject({ pattern: "agent:me", subscription: 0, observe: undefined });
  const { asked, inbox, stage } = await opened("solvers");
  expect(asked).toMatchObject({ pattern: "group:solvers", subscription: 1 });
  stage.wire.receive(request(5n, { stream: 1 }));
  expect((await inbox.next())?.address).toBe("group:solvers");
});

test("replies name the asker and its correlation, in the order of the calls", async () => {
  const { stage, inbox } = await opened();
  stage.wire.receive(request(5n));
  const found = await inbox.next();
  await found?.replyPart(Uint8Array.of(1));
  await found?.reply(Uint8Array.of(2), { headers: { done: true } });
  await settled();
  const replies = stage.wire.takenOf(Opcode.REPLY);
  expect(replies.map(({ stream, offset, flags }) => [stream, offset, flags & Flag.MORE])).toEqual([
    [9, 5n, Flag.MORE],
    [9, 5n, 0],
  ]);
});

test("a large reply asks whether it is taken, and its call returns when it is", async () => {
  const { stage, inbox } = await opened();
  stage.wire.receive(request(5n));
  let taken = false;
  (await inbox.next())?.reply(LARGE).then(() => {
    taken = true;
  });
  await settled();
  const [head] = stage.wire.takenOf(Opcode.REPLY);
  expect([head.extensions?.resuming, taken]).toEqual([true, false]);
  stage.wire.receive({ opcode: Opcode.RESUME, transfer: head.plan?.transfer ?? 0, index: 0 });
  await settled();
  expect(taken).toBe(true);
});

test("a large reply that found no room is sent again, and its chunks wait for RESUME", async () => {
  const { stage, inbox } = await opened();
  stage.wire.receive(request(5n));
  const replying = (await inbox.next())?.reply(LARGE);
  await settled();
  stage.wire.taken();
  const error = { opcode: Opcode.ERROR, code: Code.QUEUE_FULL, error: "", message: "no room", peer: 9 } as const;
  stage.wire.receive({ ...error, correlation: 5n });
  await stage.clock.pass(10);
  const [head, ...rest] = stage.wire.taken();
  expect([head.opcode, rest]).toEqual([Opcode.REPLY, []]);
  stage.wire.receive({ opcode: Opcode.RESUME, transfer: ("plan" in head && head.plan?.transfer) || 0, index: 0 });
  await replying;
  await settled();
  expect(stage.wire.taken().at(-1)).toMatchObject({ opcode: Opcode.END, offset: 5n });
});

test("a reply that is refused otherwise is dropped and reported", async () => {
  const { stage, inbox } = await opened();
  stage.wire.receive(request(5n));
  (await inbox.next())?.reply(LARGE);
  await settled();
  const error = { opcode: Opcode.ERROR, code: Code.MESSAGE_TOO_BIG, error: "", message: "too big", peer: 9 } as const;
  stage.wire.receive({ ...error, correlation: 5n }, { ...error, correlation: 77n });
  expect(stage.errors.map(({ message }) => message)).toEqual([
    expect.stringMatching(/request 5 of peer 9: too big/),
    expect.stringMatching(/request 77 of peer 9/),
  ]);
});

test("a request that nobody wants any more tells so, and its replies are dropped", async () => {
  const { stage, inbox } = await opened();
  stage.wire.receive(request(5n), request(6n), request(7n));
  const first = await inbox.next();
  const called: string[] = [];
  first?.onCancel(() => called.push("first"));
  stage.wire.receive(
    { opcode: Opcode.CANCEL, peer: 9, correlation: 5n },
    { opcode: Opcode.CANCEL, peer: 9, correlation: 6n },
  );
  first?.onCancel(() => called.push("at once"));
  await first?.waitCancelled();
  await first?.reply(Uint8Array.of(1));
  await settled();
  expect([called, stage.wire.takenOf(Opcode.REPLY)]).toEqual([["first", "at once"], []]);
  expect((await inbox.next())?.correlation).toBe(7n); // one that was cancelled before is left out
});

test("a closed inbox answers what still comes with a failure, and what waits can be taken", async () => {
  const { stage, inbox } = await opened();
  stage.wire.receive(request(5n));
  const closing = inbox.close();
  stage.wire.receive(request(6n));
  await settled();
  const [late] = stage.wire.messages.length ? stage.wire.taken().filter(({ opcode }) => opcode === Opcode.REPLY) : [];
  expect(late).toMatchObject({ offset: 6n, flags: expect.any(Number) });
  void closing;
  const taken: (bigint | undefined)[] = [];
  for await (const { correlation } of inbox) {
    taken.push(correlation);
  }
  expect(taken).toEqual([5n]);
});

test("a request that cannot be read is answered and reported", async () => {
  const { stage } = await opened();
  const failure = {
    opcode: "failure",
    of: Opcode.REQUEST,
    stream: 0,
    publisher: 9,
    count: 1,
    declared_bytes: 9,
  } as const;
  stage.wire.receive({ ...failure, offset: 5n, code: Code.CORRUPT_PAYLOAD, problem: "broken", needs_keyframe: false });
  await settled();
  const [reply] = stage.wire.takenOf(Opcode.REPLY);
  expect([reply.offset, reply.flags & Flag.FAILED]).toEqual([5n, Flag.FAILED]);
  expect(stage.errors).toEqual([expect.objectContaining({ code: Code.CORRUPT_PAYLOAD })]);
});

test("another connection opens the inboxes again, and one that it refuses ends", async () => {
  const { stage, inbox } = await opened();
  const wire = await stage.again();
  const [{ request: asked }] = wire.takenOf(Opcode.SUBSCRIBE);
  wire.receive({ opcode: Opcode.ERROR, code: Code.FORBIDDEN, error: "", message: "no more", request: asked });
  await expect(inbox.next()).rejects.toThrow(expect.objectContaining({ code: Code.FORBIDDEN }));
});

test("the queue of an asker is forgotten when all replies are sent, and the large ones taken", async () => {
  const stage = await staged();
  let done = 0;
  const { sender } = await stage.parts.sending.load();
  const queue = new ReplyQueue(sender, 9, () => done++);
  const reply = (bytes: number): OutboundMessage => {
    const content = contentOf(new Uint8Array(bytes));
    const fields = { content, flags: 0, calledNs: 0n, codec: "none", declaration: {} } as const;
    const message = new OutboundMessage({ ...fields, opcode: Opcode.REPLY });
    message.sequence = 5n;
    return message;
  };
  queue.submit(reply(1));
  expect(done).toBe(1);
  queue.submit(reply(LARGE.byteLength));
  expect(done).toBe(1);
  queue.resumed(1, 0);
  expect(done).toBe(2);
  stage.wire.roomBytes = 0;
  queue.submit(reply(LARGE.byteLength));
  queue.submit(reply(1));
  queue.cancel(5n);
  expect([done, queue.idle]).toEqual([3, true]);
});

test.each([
  [4096, new Uint8Array(1)],
  [2, new Uint8Array(32 * 1024 * 1024)],
])("no more than %d requests wait for the program; another one is answered with a failure", async (most, payload) => {
  const { stage, inbox } = await opened();
  for (let correlation = 1; correlation <= most; correlation++) {
    stage.wire.receive(request(BigInt(correlation), { payload }));
  }
  await settled();
  expect(stage.wire.takenOf(Opcode.REPLY)).toEqual([]);
  stage.wire.receive(request(9999n));
  await settled();
  const [reply] = stage.wire.takenOf(Opcode.REPLY);
  expect([reply.offset, reply.flags & Flag.FAILED]).toEqual([9999n, Flag.FAILED]);
  await inbox.next();
  stage.wire.receive(request(10_000n));
  await settled();
  expect(stage.wire.takenOf(Opcode.REPLY)).toEqual([]);
});

test("an inbox that a stopping gateway does not open again stays, for the next connection", async () => {
  const { stage, inbox } = await opened();
  const wire = await stage.again();
  const [{ request: asked }] = wire.takenOf(Opcode.SUBSCRIBE);
  wire.receive({ opcode: Opcode.ERROR, code: Code.DRAINING, error: "DRAINING", message: "stopping", request: asked });
  await settled();
  const next = await stage.again();
  await answer(next, Opcode.SUBSCRIBED);
  next.receive(request(5n));
  expect((await inbox.next())?.correlation).toBe(5n);
});
