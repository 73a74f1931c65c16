/** Calls that the gateway answers by frames of their own, with a gateway that the test plays. */

import { expect, test } from "vitest";
import { Client } from "../src/client.ts";
import { Code, ConnectionFailed, RequestTimeout } from "../src/errors.ts";
import { Opcode } from "../src/protocol/wire.ts";
import { settled, staged } from "./fakes.ts";

test("delete goes on while there are more streams, and gives all their names", async () => {
  const stage = await staged();
  const deleting = new Client(stage.parts).delete("run/*");
  for (const [streams, more] of [
    [["run/a"], true],
    [["run/b"], undefined],
  ] as const) {
    await settled();
    const [{ request }] = stage.wire.takenOf(Opcode.DELETE);
    stage.wire.receive({ opcode: Opcode.DELETED, request, streams, more });
  }
  expect(await deleting).toEqual(["run/a", "run/b"]);
});

test("delete and authenticate that were sent fail with their connection, and with their time limit", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  const deleting = client.delete("run/*");
  await settled();
  stage.wire.lose();
  await expect(deleting).rejects.toThrow(ConnectionFailed);
  const authenticating = client.authenticate("token", { timeoutMs: 100 });
  authenticating.catch(() => undefined);
  await stage.clock.pass(200);
  await expect(authenticating).rejects.toThrow(RequestTimeout);
  const aborting = new AbortController();
  const aborted = client.authenticate("token", { signal: aborting.signal });
  aborting.abort(new Error("enough"));
  await expect(aborted).rejects.toThrow("enough");
});

test("a refusal because the gateway is stopping waits for the next connection", async () => {
  const stage = await staged();
  const authenticating = new Client(stage.parts).authenticate("token");
  await settled();
  const [{ request }] = stage.wire.takenOf(Opcode.AUTHENTICATE);
  stage.wire.receive({ opcode: Opcode.GO_AWAY, code: 1001, reason: "stopping", deadline_s: 1 });
  stage.wire.receive({ opcode: Opcode.ERROR, code: Code.DRAINING, error: "DRAINING", message: "stopping", request });
  const wire = await stage.again();
  const [again] = wire.takenOf(Opcode.AUTHENTICATE);
  wire.receive({ opcode: Opcode.AUTHENTICATED, request: again.request, expires_s: 60 });
  expect(await authenticating).toBe(60);
});

test("the account of a subscription is asked for again after a lost connection, behind its SUBSCRIBED", async () => {
  const stage = await staged();
  const client = new Client(stage.parts);
  const subscribing = client.subscribe("wf/a");
  const subscribed = async (): Promise<void> => {
    await settled();
    const [{ request, subscription }] = stage.wire.takenOf(Opcode.SUBSCRIBE);
    stage.wire.receive({ opcode: Opcode.SUBSCRIBED, request, subscription, positions: 0n });
    await settled();
  };
  await subscribed();
  const account = client.account(await subscribing);
  await settled();
  expect(stage.wire.takenOf(Opcode.ACCOUNT).length).toBe(1);
  stage.wire.lose();
  await stage.clock.pass(1000);
  await stage.greet();
  await subscribed();
  const [{ request, subscription }] = stage.wire.takenOf(Opcode.ACCOUNT);
  stage.wire.receive({ opcode: Opcode.ACCOUNT, request, subscription, streams: {} });
  expect(await account).toEqual(new Map());
});
