/** Calls that publish, over lost connections and refusals, with a gateway that the test plays. */

import { describe, expect, test } from "vitest";
import { Code, ConnectionFailed } from "../../src/errors.ts";
import { checksumOf } from "../../src/protocol/checksum.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { settled, streamInfo } from "../fakes.ts";
import { ack, LARGE, namesOf, publishing, refusal, SMALL } from "./publishing.ts";

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

  test("keeps the order of sequences, where a refused message was sent once more behind later ones", async () => {
    const { stage, client } = await publishing({ timeoutMs: 100_000 });
    const results = [0, 1].map(() => client.publish("wf/a", SMALL));
    await settled();
    stage.wire.receive(streamInfo({ alias: 0 }), refusal(Code.QUEUE_FULL, { sequence: 1n }));
    await stage.clock.pass(10);
    expect(stage.wire.takenOf(Opcode.MESSAGE).map(({ offset }) => offset)).toEqual([1n, 2n, 3n]);
    const wire = await stage.again();
    const sent = wire.taken().filter(({ opcode }) => opcode === Opcode.OPEN || opcode === Opcode.MESSAGE);
    expect(sent[0]).toMatchObject({ opcode: Opcode.OPEN, sequence: 2n });
    expect(sent.slice(1).map((message) => "offset" in message && message.offset)).toEqual([2n, 3n]);
    wire.receive(streamInfo({ alias: 0 }), ack(2n, 0n), refusal(Code.QUEUE_FULL, { sequence: 3n }));
    await stage.clock.pass(10);
    expect(wire.takenOf(Opcode.MESSAGE).map(({ offset }) => offset)).toEqual([4n]);
    wire.receive(ack(4n, 1n));
    expect((await Promise.all(results)).map(({ offset }) => offset)).toEqual([1n, 0n]);
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
    expect(rest[1]).toMatchObject({ checksum: checksumOf([LARGE]) });
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

  test("has a large message behind the refused one make way, and begin anew behind it", async () => {
    const { stage, client } = await publishing();
    const small = client.publish("wf/a", SMALL);
    stage.wire.roomBytes = 70_000;
    const large = client.publish("wf/a", LARGE);
    await settled();
    stage.wire.receive(streamInfo({ alias: 0 }));
    expect(namesOf(stage).at(-1)).toBe("CHUNK");
    stage.wire.receive(refusal(Code.QUEUE_FULL, { sequence: 1n }));
    await settled();
    expect(namesOf(stage)).toEqual(["ABORT"]);
    stage.wire.drain();
    await stage.clock.pass(10);
    expect(stage.wire.takenOf(Opcode.MESSAGE).map(({ offset, plan }) => [offset, plan])).toEqual([[3n, undefined]]);
    stage.wire.receive(ack(3n, 0n));
    await settled();
    const [head, ...rest] = stage.wire.taken();
    expect(head).toMatchObject({ offset: 4n, plan: { payload_bytes: LARGE.byteLength } });
    expect(rest.at(-1)).toMatchObject({ checksum: checksumOf([LARGE]) });
    stage.wire.receive(ack(4n, 1n));
    expect((await Promise.all([small, large])).map(({ offset }) => offset)).toEqual([0n, 1n]);
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
