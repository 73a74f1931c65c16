/** Calls of a client that belong to none of its parts, with a gateway that the test plays. */

import { getEventListeners } from "node:events";
import { expect, test, vi } from "vitest";
import { Client, connect } from "../src/client.ts";
import { Code, ConnectionClosed, InvalidArgument, UsageError } from "../src/errors.ts";
import { Opcode } from "../src/protocol/wire.ts";
import { FakeClock, FakeWires, Stage, settled, staged, WELCOME } from "./fakes.ts";

test("connect gives a client with the id that the gateway has chosen", async () => {
  const wires = new FakeWires();
  const connecting = connect("ws://gateway", { wires, clock: new FakeClock() });
  await settled();
  wires.newest.events.opened();
  wires.newest.receive({ ...WELCOME, client_id: "anonymous-7" });
  const client = await connecting;
  expect([client.clientId, client.state, client.link.score]).toEqual(["anonymous-7", "connected", 1]);
});

test.each([{ clientType: "robot" }, { clientId: "-x" }])("%o cannot be used", async (options) => {
  await expect(connect("ws://gateway", options as object)).rejects.toThrow(/./);
});

test("closing sends what waits, counts what could not be sent, and is done once", async () => {
  const stage = await staged({ closeTimeoutMs: 1000 });
  const client = new Client(stage.parts);
  client.publishNowait("wf/a", new Int8Array(1));
  const closing = client.close();
  await settled();
  expect(stage.wire.takenOf(Opcode.MESSAGE).length).toBe(1);
  stage.wire.lose(1000, "");
  await closing;
  await client.close();
  await expect(client.publish("wf/a", new Int8Array(1))).rejects.toThrow(ConnectionClosed);
  const other = await staged({ closeTimeoutMs: 1000 });
  other.wire.unsentBytes = 2_000_000;
  const unsent = new Client(other.parts);
  unsent.publishNowait("wf/a", new Int8Array(1));
  const late = unsent.close();
  await other.clock.pass(3000);
  await late;
  expect(other.errors.map(({ message }) => message)).toEqual([expect.stringMatching(/^1 messages could not be sent/)]);
});

test("iterators end with their client, and subscriptions wait for a connection", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  stage.wire.lose();
  const subscribing = client.subscribe("wf/*");
  await stage.clock.pass(30_000);
  const wire = await stage.welcome();
  const [{ request, subscription }] = wire.takenOf(Opcode.SUBSCRIBE);
  wire.receive({ opcode: Opcode.SUBSCRIBED, request, subscription });
  const found = await subscribing;
  const next = found.next();
  client.close();
  await settled();
  wire.lose(1000, "");
  expect(await next).toBeUndefined();
});

test.each([
  [{ observe: true, autoAck: false }, InvalidArgument],
  [{ observe: true, credits: { messages: 1, bytes: 1 } }, InvalidArgument],
  [{ latest: true }, InvalidArgument],
  [{ since: -1 }, InvalidArgument],
  [{ since: [1, 5n] }, UsageError],
] as const)("subscribe with %o fails at the call", async (options, error) => {
  const stage = await staged();
  await expect(new Client(stage.parts).subscribe("wf/*", options as object)).rejects.toThrow(error);
});

test("a subscription is given up by its signal, before it stands and afterwards", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  const aborting = new AbortController();
  const subscribing = client.subscribe("wf/a", { signal: aborting.signal, since: [1, 5n] });
  subscribing.catch(() => undefined);
  await settled();
  const [{ request, subscription, since }] = stage.wire.takenOf(Opcode.SUBSCRIBE);
  expect(since).toEqual({ "wf/a": [1, 5n] });
  aborting.abort(new Error("enough"));
  await settled();
  const [{ request: ended }] = stage.wire.takenOf(Opcode.UNSUBSCRIBE);
  stage.wire.receive({ opcode: Opcode.SUBSCRIBED, request, subscription });
  stage.wire.receive({ opcode: Opcode.UNSUBSCRIBED, request: ended, subscription });
  await expect(subscribing).rejects.toThrow("enough");
});

test("what was given up without a connection is not done later", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  stage.wire.lose();
  const aborting = new AbortController();
  const given = [
    client.delete("run/*", { timeoutMs: 100 }),
    client.authenticate("token", { signal: aborting.signal }),
    client.subscribe("wf/a", { signal: aborting.signal }),
  ];
  const outcomes = Promise.allSettled(given);
  await settled();
  aborting.abort(new Error("enough"));
  await stage.clock.pass(200);
  const errors = (await outcomes).map((outcome) => (outcome.status === "rejected" ? String(outcome.reason) : "done"));
  expect(errors).toEqual([expect.stringContaining("delete was not answered"), "Error: enough", "Error: enough"]);
  await stage.clock.pass(30_000);
  const wire = await stage.welcome();
  expect(wire.taken().filter(({ opcode }) => opcode !== Opcode.HELLO && opcode !== Opcode.PING)).toEqual([]);
});

test("a signal that is aborted already lets nothing begin", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(client.delete("run/*", { signal })).rejects.toThrow("enough");
  await expect(client.subscribe("wf/*", { signal })).rejects.toThrow("enough");
  await settled();
  expect(stage.wire.taken()).toEqual([]);
  stage.wire.lose();
});

test("a signal that outlives subscriptions and calls keeps none of them", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  const { signal } = new AbortController();
  const subscribing = client.subscribe("wf/a", { signal });
  const refused = client.subscribe("wf/b", { signal });
  refused.catch(() => undefined);
  const deleting = client.delete("run/*", { signal });
  await settled();
  const [first, second] = stage.wire.takenOf(Opcode.SUBSCRIBE);
  const { request, subscription } = first;
  stage.wire.receive(
    { opcode: Opcode.SUBSCRIBED, request, subscription },
    { opcode: Opcode.ERROR, code: Code.FORBIDDEN, error: "FORBIDDEN", message: "no", request: second.request },
    { opcode: Opcode.DELETED, request: second.request + 1, streams: [] },
  );
  const found = await subscribing;
  await deleting;
  await expect(refused).rejects.toThrow("no");
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  stage.wire.lose(1000, "");
  void found.close();
  await settled();
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("a client that is closed for good looks at the page no more", async () => {
  const page = new EventTarget();
  vi.stubGlobal("document", Object.assign(page, { visibilityState: "visible" }));
  const stage = await staged();
  expect(getEventListeners(page, "visibilitychange")).toHaveLength(1);
  stage.wire.lose(Code.SUPERSEDED, "");
  expect(stage.parts.connection.state).toBe("closed");
  expect(getEventListeners(page, "visibilitychange")).toEqual([]);
  vi.unstubAllGlobals();
});

test("a notice for which there is no callback is reported, and one about a view is logged", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const stage = await staged();
  const notice = { opcode: Opcode.NOTICE, code: Code.EXPIRED, reason: "too late" } as const;
  stage.wire.receive({ ...notice, stream: "wf/a", first: 1n, last: 2n });
  stage.wire.receive({ ...notice, code: Code.VIEW_LOWERED, reason: "slow" });
  expect(stage.errors.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^messages 1 to 2 of wf\/a: too late/),
  ]);
  expect(warn).toHaveBeenCalledTimes(1);
  warn.mockRestore();
  const notices: unknown[] = [];
  const other = await staged({ onNotice: (found) => notices.push(found) });
  other.wire.receive(notice);
  expect([notices, other.errors]).toEqual([[notice], []]);
});

test("what waits unread lowers the score of the link", async () => {
  const stage = new Stage();
  await stage.welcome();
  expect(new Client(stage.parts).link).toMatchObject({ unread_s: undefined });
});
