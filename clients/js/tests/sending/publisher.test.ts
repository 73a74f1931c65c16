/** Calls that publish, with a gateway that the test plays. */

import { describe, expect, test } from "vitest";
import {
  CapacityError,
  Code,
  ConnectionFailed,
  InvalidArgument,
  RequestRefused,
  RequestTimeout,
} from "../../src/errors.ts";
import type { Open } from "../../src/protocol/messages.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { settled, streamInfo, WELCOME } from "../fakes.ts";
import { ack, LARGE, namesOf, publishing, refusal, SMALL } from "./publishing.ts";

test("the first message opens its stream, as a producer, and need not wait for the answer", async () => {
  const { stage, client } = await publishing();
  const result = client.publish("wf/a", SMALL, { kind: "event", headers: { step: 1 } });
  await settled();
  const [open, message] = stage.wire.taken();
  expect(open).toMatchObject({ opcode: Opcode.OPEN, alias: 0, stream: "wf/a", kind: "event", sequence: 1n });
  expect((open as Open).producer).toBeGreaterThan(0);
  expect(message).toMatchObject({ opcode: Opcode.MESSAGE, stream: 0, offset: 1n, payload: SMALL });
  stage.wire.receive(streamInfo({ alias: 0, epoch: 4 }), ack(1n, 12n, { durability: "os" }));
  expect(await result).toMatchObject({ stream: "wf/a", epoch: 4, offset: 12n, durability: "os", repeated: false });
});

test("one ACK answers a run of messages, and sequences count on", async () => {
  const { stage, client } = await publishing();
  const results = [0, 1, 2].map(() => client.publish("wf/a", SMALL));
  await settled();
  expect(namesOf(stage)).toEqual(["OPEN", "MESSAGE", "MESSAGE", "MESSAGE"]);
  stage.wire.receive(ack(3n, 9n, { count: 3 }));
  expect((await Promise.all(results)).map(({ offset }) => offset)).toEqual([7n, 8n, 9n]);
});

describe("declarations", () => {
  test("that contradict the stream fail at the call, and the stream stays usable", async () => {
    const { stage, client } = await publishing();
    client.publish("wf/a", SMALL, { kind: "event" });
    await settled();
    stage.wire.receive(streamInfo({ alias: 0 }), ack(1n, 0n));
    await expect(client.publish("wf/a", SMALL, { kind: "state" })).rejects.toThrow(
      expect.objectContaining({ code: Code.KIND_MISMATCH }),
    );
    expect(() => client.publishNowait("wf/a", SMALL, { kind: "state" })).toThrow(RequestRefused);
    const result = client.publish("wf/a", SMALL);
    await settled();
    stage.wire.receive(ack(2n, 1n));
    await result;
  });

  test("other than that of an OPEN wait for its answer, and a schema gets an OPEN of its own", async () => {
    const { stage, client } = await publishing();
    client.publish("wf/a", SMALL);
    client.publish("wf/a", SMALL, { schema: { dtype: "uint8", shape: [1] } });
    await settled();
    expect(namesOf(stage)).toEqual(["OPEN", "MESSAGE"]);
    stage.wire.receive(streamInfo({ alias: 0, kind: "state" }));
    await settled();
    const [open, message] = stage.wire.taken();
    expect(open).toMatchObject({ opcode: Opcode.OPEN, alias: 1, schema: { dtype: "uint8", shape: [1] }, sequence: 2n });
    expect(message).toMatchObject({ stream: 1, offset: 2n });
  });
});

test("a message of publishNowait whose stream cannot be opened is reported once, as lost", async () => {
  const { stage, client } = await publishing();
  client.publishNowait("wf/a", SMALL, { kind: "state" });
  await settled();
  stage.wire.receive(refusal(Code.KIND_MISMATCH), refusal(Code.KIND_MISMATCH, { sequence: 1n }));
  expect(stage.errors.map(({ message }) => message)).toEqual([
    "publishNowait to wf/a: 1 message is lost: no (KIND_MISMATCH, code 5203)",
  ]);
});

describe("patches", () => {
  test("name their region, by the shape of the state where it is needed", async () => {
    const { stage, client } = await publishing();
    client.publish("wf/a", new Int16Array(12), { shape: [3, 4] });
    client.publish("wf/a", new Int16Array(2), { region: [-1, [2, null]] });
    await settled();
    const [, patch] = stage.wire.takenOf(Opcode.MESSAGE);
    expect(patch.extensions?.region).toEqual([
      { start: 2n, count: 1n, step: 1n },
      { start: 2n, count: 2n, step: 1n },
    ]);
  });

  test("need a shape for an open bound, and fit their region", async () => {
    const { client } = await publishing();
    await expect(client.publish("wf/a", new Int16Array(2), { region: [-1] })).rejects.toThrow(/needs the shape/);
    await expect(client.publish("wf/a", new Int16Array(2), { region: [[0, 3]] })).rejects.toThrow(InvalidArgument);
    await expect(client.publish("wf/a", SMALL, { tensor: "w" })).rejects.toThrow(InvalidArgument);
  });

  test("take the shape of a schema", async () => {
    const { stage, client } = await publishing();
    const schema = { tensors: { w: { dtype: "int16", shape: [8] } } };
    client.publish("wf/a", new Int16Array(1), { region: [-1], tensor: "w", schema });
    await settled();
    expect(stage.wire.takenOf(Opcode.MESSAGE)[0].extensions?.region?.[0].start).toBe(7n);
  });
});

test("publishes to events outrun no receiver: 16 MiB await their acknowledgement at most", async () => {
  const { stage, client } = await publishing();
  const results = [0, 1, 2].map(() => client.publish("wf/a", new Uint8Array(9 * 1024 * 1024), { kind: "event" }));
  await stage.clock.pass(100);
  expect(stage.wire.takenOf(Opcode.END).length).toBe(1);
  stage.wire.receive(streamInfo({ alias: 0 }), ack(1n, 0n));
  await stage.clock.pass(100);
  expect(stage.wire.takenOf(Opcode.END).length).toBe(1);
  stage.wire.receive(ack(2n, 1n));
  await stage.clock.pass(100);
  stage.wire.receive(ack(3n, 2n));
  await Promise.all(results);
});

test("a small message passes a large one of another stream, and all wait for room", async () => {
  const { stage, client } = await publishing();
  stage.wire.unsentBytes = 2_000_000;
  client.publish("wf/large", LARGE);
  client.publish("wf/small", SMALL);
  await settled();
  expect(stage.wire.taken()).toEqual([]);
  stage.wire.unsentBytes = 0;
  stage.wire.events.drained();
  await settled();
  expect(namesOf(stage)).toEqual(["OPEN", "MESSAGE", "OPEN", "MESSAGE", "CHUNK", "CHUNK", "CHUNK", "CHUNK", "END"]);
});

test("what waits without acknowledgement is bounded, and drain makes room", async () => {
  const { stage, client } = await publishing({ maxPendingBytes: 1000 });
  stage.wire.lose();
  client.publishNowait("wf/a", new Uint8Array(5000)); // a single message may be larger
  expect(() => client.publishNowait("wf/a", SMALL)).toThrow(CapacityError);
  const drained = client.drain();
  await stage.clock.pass(30_000);
  const wire = await stage.welcome();
  await drained;
  expect(wire.takenOf(Opcode.MESSAGE).length).toBe(1);
  client.publishNowait("wf/a", SMALL);
  client.publishNowait("wf/a", SMALL);
  await settled();
  expect(wire.takenOf(Opcode.BATCH)[0]).toMatchObject({ count: 2, offset: 2n });
});

test("messages without a payload count as well, with their headers and what each takes beside them", async () => {
  const { stage, client } = await publishing({ maxPendingBytes: 100_000 });
  stage.wire.lose();
  client.publishNowait("wf/a", null, { headers: { text: "x".repeat(50_000) } });
  client.publishNowait("wf/a", null);
  const further = (): void => client.publishNowait("wf/a", null, { headers: { text: "x".repeat(50_000) } });
  expect(further).toThrow(CapacityError);
  await settled();
  expect(further).toThrow(CapacityError);
  const small = await publishing({ maxPendingBytes: 100_000 });
  small.stage.wire.lose();
  expect(() => {
    for (let messages = 0; messages < 1000; messages++) {
      small.client.publishNowait("wf/a", null, { headers: {} });
    }
  }).toThrow(CapacityError);
});

test("a batch that the gateway of this connection does not take in one frame is sent as several, in their order", async () => {
  const { stage, client } = await publishing();
  stage.wire.lose();
  await stage.clock.pass(30_000);
  for (let number = 0; number < 10; number++) {
    client.publishNowait("wf/a", new Uint8Array(1000).fill(number));
  }
  await stage.welcome({ limits: { ...WELCOME.limits, chunk_bytes: 4096 } });
  const batches = stage.wire.takenOf(Opcode.BATCH);
  expect(batches.map(({ count, offset, payload }) => [count, offset, payload[0]])).toEqual([
    [4, 1n, 0],
    [4, 5n, 4],
    [2, 9n, 8],
  ]);
});

test("time limits tell whether the message was sent, and for how long there was no connection", async () => {
  const { stage, client } = await publishing({ timeoutMs: 1000 });
  const sent = client.publish("wf/a", SMALL);
  sent.catch(() => undefined);
  await stage.clock.pass(1100);
  await expect(sent).rejects.toThrow(RequestTimeout);
  await expect(sent).rejects.toThrow(/was sent, and is not acknowledged/);
  stage.wire.lose(1006, "cable cut");
  const unsent = client.publish("wf/a", SMALL);
  unsent.catch(() => undefined);
  await stage.clock.pass(1100);
  await expect(unsent).rejects.toThrow(/no connection for 1\.0 s \(cable cut\)/);
});

test("a publish can be given up: a large one is ended by ABORT, and keeps its sequence", async () => {
  const { stage, client } = await publishing();
  const aborting = new AbortController();
  stage.wire.roomBytes = 100_000;
  const result = client.publish("wf/a", LARGE, { signal: aborting.signal });
  await settled();
  aborting.abort(new Error("enough"));
  await expect(result).rejects.toThrow("enough");
  stage.wire.drain();
  client.publish("wf/a", SMALL);
  await settled();
  const [end, message] = stage.wire.taken().slice(-2);
  expect([end.opcode, message]).toEqual([Opcode.ABORT, expect.objectContaining({ offset: 2n })]);
  await expect(client.publish("wf/a", SMALL, { signal: aborting.signal })).rejects.toThrow("enough");
});

test("progress is told, and an error of its callback ends the publish", async () => {
  const { stage, client } = await publishing();
  const told: number[] = [];
  const result = client.publish("wf/a", LARGE, {
    progress: (bytes) => {
      told.push(bytes);
      if (bytes > 100_000) {
        throw new Error("enough");
      }
    },
  });
  await expect(result).rejects.toThrow("enough");
  expect(told).toEqual([65_536, 131_072]);
  await settled();
  expect(stage.wire.taken().at(-1)).toMatchObject({ opcode: Opcode.ABORT });
});

test("an option that cannot be used fails at the call", async () => {
  const { client } = await publishing();
  await expect(client.publish("wf", SMALL)).rejects.toThrow(expect.objectContaining({ code: Code.INVALID_NAME }));
  for (const options of [{ kind: "stat" }, { durability: "disk" }, { codec: "zstd" }, { expiresInMs: -1 }]) {
    await expect(client.publish("wf/a", SMALL, options as object)).rejects.toThrow(/./);
  }
  await expect(client.publish("wf/a", new Uint8Array(65 * 1024 * 1024))).rejects.toThrow(/max_message_bytes/);
  const extension = await publishing({ clientType: "extension" });
  await expect(extension.client.publish("wf/a", SMALL)).rejects.toThrow(
    expect.objectContaining({ code: Code.FORBIDDEN }),
  );
});

test("a closed client fails what waits and what is asked", async () => {
  const { stage, client } = await publishing();
  const result = client.publish("wf/a", SMALL);
  await settled();
  stage.wire.lose(Code.SUPERSEDED, "another one");
  await expect(result).rejects.toThrow(ConnectionFailed);
  await expect(client.publish("wf/a", SMALL)).rejects.toThrow(ConnectionFailed);
  expect(() => client.publishNowait("wf/a", SMALL)).toThrow(ConnectionFailed);
});
