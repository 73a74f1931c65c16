/** Presences, with a gateway that the test plays. */

import { expect, test } from "vitest";
import { Client } from "../../src/client.ts";
import {
  Code,
  ConnectionClosed,
  InvalidArgument,
  RequestRefused,
  RequestTimeout,
  UsageError,
} from "../../src/errors.ts";
import type { PresenceOptions } from "../../src/presence/presences.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { type FakeWire, settled, staged } from "../fakes.ts";
import { member, members } from "./rosters.ts";

async function answer(wire: FakeWire, count = 1): Promise<unknown> {
  await settled();
  const [asked] = wire.takenOf(Opcode.ATTEND);
  wire.receive({ opcode: Opcode.ATTENDING, request: asked.request, scope: asked.scope, count });
  await settled();
  return asked;
}

async function attending(options: PresenceOptions = { metadata: {}, watch: "members" }) {
  const stage = await staged();
  const client = new Client(stage.parts);
  const opening = client.presence("wf", options);
  await answer(stage.wire);
  stage.wire.receive(members({ count: 1, roster: true, members: [member("a")] }));
  return { stage, client, presence: await opening };
}

test("opening waits until the members are known, or their number if only that is watched", async () => {
  const stage = await staged();
  const opening = new Client(stage.parts).presence("wf", { metadata: { a: 1 }, watch: "members" });
  let open = false;
  opening.then(() => {
    open = true;
  });
  stage.wire.receive(members({ count: 9, roster: true, members: [member("early")] })); // of an earlier presence
  expect(await answer(stage.wire, 5)).toMatchObject({ scope: "wf", metadata: { a: 1 }, watch: "members" });
  expect(open).toBe(false);
  stage.wire.receive(members({ count: 1, roster: true, members: [member("a")] }));
  const presence = await opening;
  expect([[...presence.members.keys()], presence.count]).toEqual([["a"], 1]);
  const { presence: counting } = await attending({ watch: "count" });
  expect(counting.count).toBe(1);
});

test("members are watched unless the program says otherwise, and only then told one by one", async () => {
  const { presence } = await attending({ metadata: {} });
  expect([...presence.members.keys()]).toEqual(["a"]);
  const { presence: counting } = await attending({ watch: "count" });
  await expect(counting.changes().next()).rejects.toThrow(UsageError);
});

test("a refused scope fails, and another one of the same scope is a fault of the program", async () => {
  const { client, stage } = await attending();
  await expect(client.presence("wf")).rejects.toThrow(UsageError);
  await expect(client.presence("wf-2", { watch: "everything" as "count" })).rejects.toThrow(InvalidArgument);
  const refused = client.presence("secret");
  await settled();
  const [{ request }] = stage.wire.takenOf(Opcode.ATTEND);
  stage.wire.receive({ opcode: Opcode.ERROR, code: Code.FORBIDDEN, error: "", message: "no", request });
  await expect(refused).rejects.toThrow(RequestRefused);
});

test("the first awareness is sent at once, later ones every 50 ms, always the newest in the end", async () => {
  const { stage, presence } = await attending();
  const sent = async () => {
    await settled();
    return stage.wire.takenOf(Opcode.AWARENESS).map(({ state }) => state);
  };
  presence.setAwareness({ x: 1 });
  presence.setAwareness({ x: 2 });
  presence.setAwareness({ x: 3 });
  expect(await sent()).toEqual([{ x: 1 }]);
  await stage.clock.pass(50);
  expect(await sent()).toEqual([{ x: 3 }]);
  await stage.clock.pass(50);
  presence.setAwareness(null);
  expect(await sent()).toEqual([undefined]);
});

test("a reconnect attends again with the newest metadata, and shows an awareness of the last 30 s", async () => {
  const { stage, presence } = await attending();
  const updating = presence.update({ a: 2 });
  await answer(stage.wire);
  await updating;
  presence.setAwareness({ x: 1 });
  stage.wire.lose();
  await stage.clock.pass(1000);
  const wire = await stage.welcome();
  expect(await answer(wire)).toMatchObject({ metadata: { a: 2 }, watch: "members" });
  expect(presence.members.size).toBe(1); // as they were, until the roster is complete
  expect(wire.takenOf(Opcode.AWARENESS).length).toBe(1);
  await stage.clock.pass(31_000);
  const next = await stage.again();
  await answer(next);
  expect(next.takenOf(Opcode.AWARENESS)).toEqual([]);
});

test("a presence that the next gateway refuses ends with the error", async () => {
  const { stage, presence } = await attending();
  const changes = presence.changes();
  await changes.next();
  const next = changes.next();
  next.catch(() => undefined);
  const wire = await stage.again();
  const [{ request }] = wire.takenOf(Opcode.ATTEND);
  wire.receive({ opcode: Opcode.ERROR, code: Code.PRESENCE_FULL, error: "", message: "full", request });
  await expect(next).rejects.toThrow(expect.objectContaining({ code: Code.PRESENCE_FULL }));
  await expect(presence.update({})).rejects.toThrow(UsageError);
});

test("refused metadata are not those of the next connection, and an answer has a time limit", async () => {
  const { stage, presence } = await attending({ metadata: { a: 1 }, watch: "members" });
  const updating = presence.update({ a: 2 });
  await settled();
  const [{ request }] = stage.wire.takenOf(Opcode.ATTEND);
  stage.wire.receive({ opcode: Opcode.ERROR, code: Code.MESSAGE_TOO_BIG, error: "", message: "big", request });
  await expect(updating).rejects.toThrow(RequestRefused);
  const late = presence.update({ a: 3 }, { timeoutMs: 100 });
  late.catch(() => undefined);
  await stage.clock.pass(200);
  await expect(late).rejects.toThrow(RequestTimeout);
});

test("closing leaves, and a client that closes leaves all scopes before", async () => {
  const { stage, presence, client } = await attending();
  const changes = presence.changes();
  await changes.next();
  const over = changes.next();
  const closing = presence.close();
  expect(await answer(stage.wire)).toMatchObject({ scope: "wf", metadata: undefined, watch: undefined });
  await closing;
  expect((await over).done).toBe(true);
  const opening = client.presence("wf-2", { metadata: {}, watch: null });
  await answer(stage.wire);
  await opening;
  client.close();
  await settled();
  expect(stage.wire.takenOf(Opcode.ATTEND)).toEqual([expect.objectContaining({ scope: "wf-2", metadata: undefined })]);
});

test("a presence that is not known yet when the program closes its client fails", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  const opening = client.presence("wf");
  opening.catch(() => undefined);
  await settled();
  void client.close();
  await settled();
  stage.wire.lose(1000, "");
  await expect(opening).rejects.toThrow(ConnectionClosed);
});
