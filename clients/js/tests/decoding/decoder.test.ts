import { expect, test } from "vitest";
import { Decoder } from "../../src/decoding/decoder.ts";
import { Code, ProtocolViolation } from "../../src/errors.ts";
import { joined } from "../../src/protocol/buffers.ts";
import { checksumOf } from "../../src/protocol/checksum.ts";
import { type DataFields, writeData } from "../../src/protocol/data.ts";
import { encode } from "../../src/protocol/encoding.ts";
import type { StreamInfo } from "../../src/protocol/messages.ts";
import { type TensorSpec, writeMeta } from "../../src/protocol/meta.ts";
import { writeSession } from "../../src/protocol/session_body.ts";
import { writeSignal } from "../../src/protocol/signals.ts";
import { writeChunk } from "../../src/protocol/transfers.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import type { Inbound } from "../../src/session/wire.ts";
import { FakeClock, streamInfo } from "../fakes.ts";

const XOR = 17;

function decoded(decoder: Decoder, ...frames: (readonly Uint8Array[])[]): Inbound[] {
  return [...decoder.decode(joined(frames.flat()))].filter((item): item is Inbound => !(item instanceof Promise));
}

function spec(bytes: number): TensorSpec {
  return { name: "", dtype: "uint8", shape: [bytes] };
}

function message(payload: Uint8Array, fields: Partial<DataFields> = {}): Uint8Array[] {
  const meta = writeMeta([spec(fields.encoding?.decoded_bytes ?? payload.byteLength)]);
  return writeData({
    opcode: Opcode.MESSAGE,
    stream: 7,
    offset: 0n,
    timestamp_ns: 1n,
    meta,
    payload: [payload],
    ...fields,
  });
}

function receiving(info: Partial<StreamInfo> = {}, handsOver = false): Decoder {
  const decoder = new Decoder(new FakeClock(), { handsOver });
  decoded(decoder, writeSession(streamInfo({ kind: "state", ...info })));
  return decoder;
}

function payloadOf(items: readonly Inbound[]): number[] {
  const [item] = items;
  return "payload" in item ? [...item.payload.subarray(0, 8)] : [];
}

test("a plain payload is the received memory, which a worker may hand over, also that of its neighbours", () => {
  const [first, second] = [new Uint8Array(32_768).fill(3), new Uint8Array(32_768).fill(4)];
  const frames = joined([...message(first), ...message(Uint8Array.of(1), { stream: 8 })]);
  const decoder = receiving({}, true);
  const items = [...decoder.decode(frames)] as { payload: Uint8Array }[];
  expect(items.map(({ payload }) => payload.buffer)).toEqual([frames.buffer, frames.buffer]);
  structuredClone(frames.buffer, { transfer: [frames.buffer] });
  const encoding = { decoded_bytes: 32_768, steps: [{ id: XOR, param: 1 }] };
  const delta = first.map((byte, index) => byte ^ second[index]);
  expect(payloadOf(decoded(decoder, message(delta, { offset: 1n, encoding })))[0]).toBe(4);
});

test("deltas refer to the version before, also over END of a large one, and fail without it", () => {
  const [first, second] = [new Uint8Array(16_384).fill(5), new Uint8Array(16_384).fill(6)];
  const delta = first.map((byte, index) => byte ^ second[index]);
  const encoding = { decoded_bytes: 16_384, steps: [{ id: XOR, param: 1 }] };
  const decoder = receiving();
  decoded(decoder, message(first));
  expect(payloadOf(decoded(decoder, message(delta, { offset: 1n, encoding })))[0]).toBe(6);
  const failed = decoded(decoder, message(delta, { offset: 5n, encoding }));
  expect(failed).toEqual([
    expect.objectContaining({ opcode: "failure", code: Code.CORRUPT_PAYLOAD, needs_keyframe: true, offset: 5n }),
  ]);
  expect(decoded(decoder, message(delta, { offset: 2n, encoding }))[0].opcode).toBe("failure");
});

test("a patch gives the complete state, and what was published", () => {
  const decoder = receiving();
  decoded(decoder, message(Uint8Array.of(1, 2, 3, 4)));
  const region = [{ start: 1n, count: 2n, step: 1n }];
  const patch = message(Uint8Array.of(8, 9), { offset: 1n, extensions: { region } });
  const [item] = decoded(decoder, patch);
  expect(item).toMatchObject({ payload: Uint8Array.of(1, 8, 9, 4), patch: { payload: Uint8Array.of(8, 9) } });
  decoder.leave();
  decoded(decoder, writeSession(streamInfo({ kind: "state", id: 7 })));
  expect(
    payloadOf(
      decoded(
        decoder,
        message(Uint8Array.of(7), { offset: 2n, extensions: { region: [{ start: 0n, count: 1n, step: 1n }] } }),
      ),
    ),
  ).toEqual([7, 8, 9, 4]);
  // It fits, and the version before it is missing.
  expect(decoded(decoder, message(Uint8Array.of(7, 7), { offset: 9n, extensions: { region } }))).toEqual([
    expect.objectContaining({ opcode: "failure", code: Code.CORRUPT_PAYLOAD, needs_keyframe: true }),
  ]);
  decoder.forget(["wf/a"]);
  expect(decoded(decoder, patch)[0].opcode).toBe("failure");
});

test("a large message is told at its head, and is whole at its END, whose checksum has to be right", () => {
  const payload = Uint8Array.from({ length: 8192 }, (_, index) => index);
  const meta = writeMeta([spec(8192)]);
  const plan = { transfer: 5, chunk_bytes: 4096, payload_bytes: 8192 };
  const head = writeData({ opcode: Opcode.MESSAGE, stream: 7, offset: 0n, timestamp_ns: 1n, meta, plan });
  const chunks = [0, 1].map((index) => writeChunk(5, index, [payload.subarray(index * 4096, (index + 1) * 4096)]));
  const end = (checksum: number) =>
    writeSignal({ opcode: Opcode.END, transfer: 5, offset: 12n, timestamp_ns: 9n, checksum });
  const decoder = receiving({ kind: "event" });
  const items = decoded(decoder, head, ...chunks, [end(checksumOf([payload]))]);
  expect(items.map(({ opcode }) => opcode)).toEqual(["head", Opcode.MESSAGE]);
  expect(items[1]).toMatchObject({ offset: 12n, transfer: 5, payload });
  expect(decoded(decoder, head, ...chunks, [end(1)])[1]).toMatchObject({ opcode: "failure", offset: 12n, transfer: 5 });
  expect(decoded(decoder, head, chunks[1])[1]).toMatchObject({ opcode: "failure", code: Code.BROKEN_TRANSFER });
  expect(decoded(decoder, chunks[0])).toEqual([]);
  decoded(decoder, head, chunks[0]);
  expect(decoder.leave()).toEqual({ "wf/a": [5, 1] });
});

test("of a record batch of a state the last record is the version", () => {
  const decoder = receiving();
  const records = new Uint8Array(32_768).fill(1);
  records.fill(4, 16_384);
  decoded(decoder, message(records, { opcode: Opcode.BATCH, count: 2, meta: writeMeta([spec(16_384)]) }));
  const encoding = { decoded_bytes: 16_384, steps: [{ id: XOR, param: 1 }] };
  const delta = message(new Uint8Array(16_384).fill(1), { offset: 2n, encoding });
  expect(payloadOf(decoded(decoder, delta))[0]).toBe(5);
});

test("versions of views end with their connection, and those of a stream with the stream", () => {
  const region = [{ start: 0n, count: 1n, step: 1n }];
  const patch = message(Uint8Array.of(7), { offset: 1n, extensions: { region } });
  const view = receiving({ subscription: 3 });
  decoded(view, message(Uint8Array.of(1, 2)));
  view.leave();
  decoded(view, writeSession(streamInfo({ kind: "state", subscription: 3 })));
  expect(decoded(view, patch)[0].opcode).toBe("failure");
  const ended = receiving();
  decoded(ended, message(Uint8Array.of(1, 2)), writeSession(streamInfo({ kind: "state", ended: "deleted" })));
  decoded(ended, writeSession(streamInfo({ kind: "state" })));
  expect(decoded(ended, patch)[0].opcode).toBe("failure");
});

test("bad frames are failures, broken framing ends the connection", () => {
  const decoder = receiving();
  expect(decoded(decoder, message(new Uint8Array(3), { meta: writeMeta([spec(4)]) }))[0]).toMatchObject({
    opcode: "failure",
    code: Code.SIZE_MISMATCH,
  });
  const notJson = Uint8Array.of(12, 0, 0, 0, Opcode.STREAM, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0);
  expect(decoded(decoder, [notJson])).toEqual([
    expect.objectContaining({ opcode: "failure", code: Code.INVALID_REQUEST }),
  ]);
  expect(decoded(decoder, [Uint8Array.of(8, 0, 0, 0, 0x7f, 0, 0, 0)])).toEqual([]);
  expect(() => decoded(decoder, [Uint8Array.of(1)])).toThrow(ProtocolViolation);
});

test("the cost of decoding goes with a message that was encoded", () => {
  const clock = new FakeClock();
  const decoder = new Decoder(clock);
  const nowMs = clock.nowMs.bind(clock);
  clock.nowMs = () => {
    clock.ms += 2;
    return nowMs();
  };
  const payload = new Uint8Array(4096).fill(7);
  const encoded = encode(payload);
  const [plain, packed] = decoded(
    decoder,
    message(payload),
    message(encoded?.data ?? payload, { encoding: encoded?.encoding }),
  );
  expect([plain, packed]).toMatchObject([{ payload }, { payload, decoded: { bytes: 4096, ms: 2 } }]);
  expect(plain).not.toHaveProperty("decoded");
});

test("a newer version ends what an earlier connection has left of a state, and a part of a patch is not kept", () => {
  const meta = writeMeta([spec(8192)]);
  const headOf = (transfer: number, fields: Partial<DataFields> = {}): Uint8Array[] => {
    const plan = { transfer, chunk_bytes: 4096, payload_bytes: 8192 };
    return writeData({ opcode: Opcode.MESSAGE, stream: 7, offset: 1n, timestamp_ns: 1n, meta, plan, ...fields });
  };
  const chunk = (transfer: number): Uint8Array[] => writeChunk(transfer, 0, [new Uint8Array(4096)]);
  const resuming = { extensions: { resuming: true } };
  const decoder = receiving();
  decoded(decoder, headOf(5), chunk(5));
  expect(decoder.leave()).toEqual({ "wf/a": [5, 1] });
  decoded(decoder, writeSession(streamInfo({ kind: "state" })), headOf(6, { timestamp_ns: 2n }));
  expect(decoded(decoder, headOf(5, resuming))).toEqual([
    expect.objectContaining({ opcode: "head" }),
    expect.objectContaining({ opcode: "failure", code: Code.BROKEN_TRANSFER }),
  ]);
  const patching = receiving();
  const region = [{ start: 0n, count: 8192n, step: 1n }];
  decoded(patching, headOf(5, { extensions: { region } }), chunk(5));
  expect(patching.leave()).toEqual({});
});
