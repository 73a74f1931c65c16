/** Calls that publish before the code that sends is loaded, with a gateway that the test plays. */

import { expect, test } from "vitest";
import { Client } from "../../src/client.ts";
import { CapacityError, Code, ConnectionFailed, InvalidArgument, RequestTimeout } from "../../src/errors.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { Stage } from "../fakes.ts";
import { ack, SMALL } from "./publishing.ts";

/** Return a client that has loaded nothing but its connection. */
async function beginning(options = {}): Promise<{ stage: Stage; client: Client }> {
  const stage = new Stage(options);
  await stage.greet();
  stage.wire.taken();
  return { stage, client: new Client(stage.parts) };
}

test("calls are kept in their order, with the memory and the time of the call", async () => {
  const { stage, client } = await beginning();
  const value = Uint8Array.of(1);
  client.publishNowait("wf/a", value, { headers: { step: 1 } });
  value[0] = 2;
  const result = client.publish("wf/a", value);
  value[0] = 3;
  client.publishNowait("wf/a", value);
  value[0] = 4;
  const called = stage.clock.localNs();
  stage.clock.ms += 500;
  expect(stage.wire.taken()).toEqual([]);
  await stage.loaded();
  const sent = stage.wire.takenOf(Opcode.MESSAGE);
  expect(sent.map(({ payload, offset }) => [payload[0], offset])).toEqual([
    [1, 1n],
    [2, 2n],
    [3, 3n],
  ]);
  const offsetNs = stage.parts.connection.session?.clock.atGateway(called) ?? 0n;
  expect(sent.map(({ timestamp_ns }) => timestamp_ns)).toEqual([offsetNs, offsetNs, offsetNs]);
  stage.wire.receive(ack(2n, 7n));
  expect(await result).toMatchObject({ offset: 7n, latencyS: 0.5 });
});

test("a wrong call fails at the call, and a client that is closed takes none", async () => {
  const { stage, client } = await beginning({ maxPendingBytes: 10 });
  expect(() => client.publishNowait("wf", SMALL)).toThrow(expect.objectContaining({ code: Code.INVALID_NAME }));
  expect(() => client.publishNowait("wf/a", SMALL, { kind: "stat" as "state" })).toThrow(InvalidArgument);
  expect(() => client.publishNowait("wf/a", SMALL, { codec: "zstd" as "lz4" })).toThrow(InvalidArgument);
  expect(() => client.publishNowait("wf/a", new Uint8Array(65 * 1024 * 1024))).toThrow(/max_message_bytes/);
  client.publishNowait("wf/a", new Uint8Array(11));
  expect(() => client.publishNowait("wf/b", SMALL)).toThrow(CapacityError);
  stage.wire.lose(Code.SUPERSEDED, "another one");
  expect(() => client.publishNowait("wf/a", SMALL)).toThrow(ConnectionFailed);
  await expect(client.publish("wf/a", SMALL)).rejects.toThrow(ConnectionFailed);
});

test("a publish whose time passes, or that is given up, is not sent later", async () => {
  const { stage, client } = await beginning({ timeoutMs: 1000 });
  stage.wire.lose(1006, "cable cut");
  const aborting = new AbortController();
  const late = client.publish("wf/a", SMALL);
  const aborted = client.publish("wf/a", SMALL, { signal: aborting.signal });
  late.catch(() => undefined);
  aborting.abort(new Error("enough"));
  await expect(aborted).rejects.toThrow("enough");
  const waiting = client.publish("wf/a", Uint8Array.of(9), { timeoutMs: 60_000 });
  await stage.clock.pass(1100);
  await expect(late).rejects.toThrow(RequestTimeout);
  await expect(late).rejects.toThrow(/was not sent in time: no connection for 1\.\d s \(cable cut\)/);
  await stage.welcome();
  expect(stage.wire.takenOf(Opcode.MESSAGE).map(({ payload }) => payload[0])).toEqual([9]);
  stage.wire.receive(ack(1n, 0n));
  await waiting;
});

test("closing and draining wait for the code, and what could not be sent is counted", async () => {
  const { stage, client } = await beginning();
  client.publishNowait("wf/a", SMALL);
  const drained = client.drain();
  client.publishNowait("wf/b", SMALL);
  await drained;
  expect(stage.wire.takenOf(Opcode.MESSAGE).length).toBe(2);
  const other = await beginning({ closeTimeoutMs: 1000 });
  other.stage.wire.lose();
  other.client.publishNowait("wf/a", SMALL);
  const result = other.client.publish("wf/a", SMALL);
  result.catch(() => undefined);
  const closing = other.client.close();
  await other.stage.clock.pass(5000);
  await closing;
  await expect(result).rejects.toThrow(ConnectionFailed);
  expect(other.stage.errors.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^2 messages could not be sent/),
  ]);
});

test("code that cannot be loaded fails what was kept, and the next call tries again", async () => {
  const { stage, client } = await beginning();
  const { sending } = stage.parts;
  const load = sending.load.bind(sending);
  sending.load = () => Promise.reject(new ConnectionFailed("404"));
  client.publishNowait("wf/a", SMALL);
  await expect(client.publish("wf/a", SMALL)).rejects.toThrow("404");
  expect(stage.errors.map(({ message }) => message)).toEqual(["404"]);
  sending.load = load;
  const result = client.publish("wf/a", SMALL);
  await stage.loaded();
  stage.wire.receive(ack(1n, 0n));
  await result;
});
