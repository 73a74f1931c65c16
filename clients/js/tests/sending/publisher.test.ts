/** Calls that publish, with a gateway that the test plays. */

import { describe, expect, test } from "vitest";
import { Client } from "../../src/client.ts";
import {
  CapacityError,
  Code,
  ConnectionFailed,
  InvalidArgument,
  RequestRefused,
  RequestTimeout,
} from "../../src/errors.ts";
import type { Open, Refusal } from "../../src/protocol/messages.ts";
import type { Ack } from "../../src/protocol/signals.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { type Stage, settled, staged, streamInfo } from "../fakes.ts";

const SMALL = Uint8Array.of(1);
const LARGE = Uint8Array.from({ length: 200_000 }, (_, index) => index);

function ack(sequence: bigint, offset: bigint, fields: Partial<Ack> = {}): Ack {
  return { opcode: Opcode.ACK, alias: 0, count: 1, sequence, offset, durability: "memory", repeated: false, ...fields };
}

function refusal(code: number, fields: Partial<Refusal> = {}): Refusal {
  return { opcode: Opcode.ERROR, code, error: "", message: "no", alias: 0, count: 1, ...fields };
}

async function publishing(options = {}): Promise<{ stage: Stage; client: Client }> {
  const stage = await staged(options);
  return { stage, client: new Client(stage.parts) };
}

function namesOf(stage: Stage): string[] {
  const names = new Map(Object.entries(Opcode).map(([name, opcode]) => [opcode as number, name]));
  return stage.wire.taken().map(({ opcode }) => names.get(opcode) ?? "");
}

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

describe("a lost connection", () => {
  test("has messages that were not acknowledged sent again as the same ones, before all others", async () => {
    const { stage, client } = await publishing();
    const results = [0, 1].map(() => client.publish("wf/a", SMALL));
    await settled();
    stage.wire.receive(ack(1n, 0n));
    stage.wire.lose();
    results.push(client.publish("wf/a", SMALL));
    await stage.clock.pass(30_000);
    const wire = await stage.welcome();
    const [open, ...messages] = wire
      .taken()
      .filter(({ opcode }) => opcode === Opcode.OPEN || opcode === Opcode.MESSAGE);
    expect(open).toMatchObject({ sequence: 2n });
    expect(messages.map((message) => "offset" in message && message.offset)).toEqual([2n, 3n]);
    wire.receive(streamInfo({ alias: 0 }), ack(2n, 1n, { repeated: true }), ack(3n, 2n));
    expect((await Promise.all(results)).map(({ repeated }) => repeated)).toEqual([false, true, false]);
  });

  test("that lasts longer than the gateway remembers leaves the outcome open", async () => {
    const { stage, client } = await publishing({ timeoutMs: 10_000_000 });
    const result = client.publish("wf/a", SMALL);
    await settled();
    stage.wire.lose();
    await stage.clock.pass(601_000);
    while (stage.parts.connection.state !== "connected") {
      await stage.welcome();
    }
    await expect(result).rejects.toThrow(ConnectionFailed);
    await expect(result).rejects.toThrow(/may have the message or not/);
  });

  test("has a large message go on at the chunk that the gateway names", async () => {
    const { stage, client } = await publishing();
    const result = client.publish("wf/a", LARGE);
    await settled();
    expect(namesOf(stage)).toEqual(["OPEN", "MESSAGE", "CHUNK", "CHUNK", "CHUNK", "CHUNK", "END"]);
    const wire = await stage.again();
    const [head] = wire.takenOf(Opcode.MESSAGE);
    expect(head).toMatchObject({ offset: 1n, extensions: { resuming: true } });
    wire.receive({ opcode: Opcode.RESUME, transfer: head.plan?.transfer ?? 0, index: 3 });
    await settled();
    const rest = wire.taken();
    expect(rest.map(({ opcode }) => opcode)).toEqual([Opcode.CHUNK, Opcode.END]);
    expect(rest[0]).toMatchObject({ index: 3, data: LARGE.subarray(3 * 65_536) });
    wire.receive(ack(1n, 0n));
    await result;
  });

  test("and a gateway that has the whole large message wants no more", async () => {
    const { stage, client } = await publishing();
    const result = client.publish("wf/a", LARGE);
    await settled();
    const wire = await stage.again();
    wire.receive(streamInfo({ alias: 0 }), ack(1n, 0n, { repeated: true }));
    expect((await result).repeated).toBe(true);
    client.publish("wf/a", SMALL);
    await settled();
    expect(wire.takenOf(Opcode.MESSAGE).at(-1)).toMatchObject({ offset: 2n, payload: SMALL });
  });
});

describe("a refusal", () => {
  test("of 5xxx fails its message alone", async () => {
    const { stage, client } = await publishing();
    const [bad, good] = [client.publish("wf/a", SMALL), client.publish("wf/a", SMALL)];
    await settled();
    stage.wire.receive(refusal(Code.SCHEMA_MISMATCH, { sequence: 1n }), ack(2n, 0n));
    await expect(bad).rejects.toThrow(expect.objectContaining({ code: Code.SCHEMA_MISMATCH }));
    expect((await good).offset).toBe(0n);
  });

  test("of 51xx waits for room: one at a time, in order, and later messages wait behind", async () => {
    const { stage, client } = await publishing();
    stage.clock.drawn = 1;
    const results = [0, 1].map(() => client.publish("wf/a", SMALL));
    await settled();
    stage.wire.taken();
    stage.wire.receive(streamInfo({ alias: 0 }), refusal(Code.QUEUE_FULL, { sequence: 2n, count: 2 }));
    results.push(client.publish("wf/a", SMALL));
    await settled();
    expect(stage.wire.taken()).toEqual([]);
    await stage.clock.pass(10);
    expect(stage.wire.takenOf(Opcode.MESSAGE).map(({ offset }) => offset)).toEqual([3n]);
    stage.wire.receive(ack(3n, 0n));
    await settled();
    expect(stage.wire.takenOf(Opcode.MESSAGE).map(({ offset }) => offset)).toEqual([4n]);
    stage.wire.receive(ack(4n, 1n));
    await settled();
    expect(stage.wire.takenOf(Opcode.MESSAGE).map(({ offset }) => offset)).toEqual([5n]);
    stage.wire.receive(ack(5n, 2n));
    expect((await Promise.all(results)).map(({ offset }) => offset)).toEqual([0n, 1n, 2n]);
  });

  test("of a large message asks before its chunks are sent again", async () => {
    const { stage, client } = await publishing();
    const result = client.publish("wf/a", LARGE);
    await settled();
    stage.wire.taken();
    stage.wire.receive(streamInfo({ alias: 0 }), refusal(Code.QUEUE_FULL, { sequence: 1n }));
    await stage.clock.pass(10);
    const [head, ...rest] = stage.wire.taken();
    expect(head).toMatchObject({ offset: 2n, extensions: { resuming: true } });
    expect(rest).toEqual([]);
    stage.wire.receive({ opcode: Opcode.RESUME, transfer: ("plan" in head && head.plan?.transfer) || 0, index: 0 });
    await settled();
    expect(namesOf(stage)).toEqual(["CHUNK", "CHUNK", "CHUNK", "CHUNK", "END"]);
    stage.wire.receive(ack(2n, 0n));
    await result;
  });

  test("is what a publish fails with whose time limit passes meanwhile", async () => {
    const { stage, client } = await publishing();
    const result = client.publish("wf/a", SMALL, { timeoutMs: 300 });
    result.catch(() => undefined);
    for (let tries = 1n; tries < 12n; tries++) {
      await settled();
      stage.wire.receive(streamInfo({ alias: 0 }), refusal(Code.QUEUE_FULL, { sequence: tries }));
      await stage.clock.pass(100);
    }
    await expect(result).rejects.toThrow(expect.objectContaining({ code: Code.QUEUE_FULL }));
  });

  test("of OPEN is that of its messages, and the next message opens again", async () => {
    const { stage, client } = await publishing();
    const result = client.publish("wf/a", SMALL, { kind: "event" });
    await settled();
    stage.wire.receive(refusal(Code.KIND_MISMATCH), refusal(Code.KIND_MISMATCH, { sequence: 1n }));
    await expect(result).rejects.toThrow(expect.objectContaining({ code: Code.KIND_MISMATCH }));
    stage.wire.taken();
    client.publish("wf/a", SMALL);
    await settled();
    expect(stage.wire.taken()[0]).toMatchObject({ opcode: Opcode.OPEN, kind: undefined });
  });

  test("because the stream has ended opens the next one, in the order of the calls", async () => {
    const { stage, client } = await publishing();
    const results = [0, 1].map(() => client.publish("wf/a", SMALL, { kind: "event" }));
    await settled();
    stage.wire.receive(streamInfo({ alias: 0 }));
    stage.wire.taken();
    stage.wire.receive(refusal(Code.STREAM_ENDED, { sequence: 2n, count: 2 }));
    await stage.clock.pass(10);
    const [open] = stage.wire.taken();
    expect(open).toMatchObject({ opcode: Opcode.OPEN, alias: 1, kind: "event", sequence: 3n });
    stage.wire.receive(streamInfo({ alias: 1, epoch: 2 }), ack(3n, 0n, { alias: 1 }));
    await settled();
    stage.wire.receive(ack(4n, 1n, { alias: 1 }));
    expect((await Promise.all(results)).map(({ epoch }) => epoch)).toEqual([2, 2]);
  });

  test("of a message that nobody awaits is reported", async () => {
    const { stage, client } = await publishing();
    client.publishNowait("wf/a", SMALL);
    await settled();
    stage.wire.receive(streamInfo({ alias: 0 }), refusal(Code.QUEUE_FULL, { sequence: 1n }));
    expect(stage.errors).toEqual([expect.objectContaining({ code: Code.QUEUE_FULL })]);
  });
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
