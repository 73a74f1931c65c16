import { expect, test, vi } from "vitest";
import { Code, InvalidArgument, UsageError } from "../../src/errors.ts";
import { Message, RecordBatch } from "../../src/messages/message.ts";
import { Received } from "../../src/messages/received.ts";
import { dequantize } from "../../src/protocol/quantization.ts";
import type { Arrival } from "../../src/session/wire.ts";
import { arrival } from "../fakes.ts";

function received(fields: Partial<Arrival> = {}, observed = false): Received {
  return new Received({ name: "wf/a", epoch: 4, kind: "collaboration", observed }, arrival(fields), 0n, dequantize);
}

test("a message has the fields of its frame, and the offset of its record", () => {
  const message = new Message(received({ offset: 9n, count: 2, headers: null }), 1, undefined, true);
  expect(message).toMatchObject({ stream: "wf/a", epoch: 4, offset: 10n, publisher: 3, kind: "collaboration" });
  expect([...message.tensor.bytes]).toEqual([2]);
});

test("the only tensor is there only if there is one", () => {
  const specs = ["a", "b"].map((name) => ({ name, dtype: "uint8", shape: [8] }) as const);
  const message = new Message(received({ specs, payload: new Uint8Array(16) }), 0, undefined, true);
  expect(() => message.tensor).toThrow(UsageError);
  expect([message.named("b")?.size, message.named("c")]).toEqual([8, undefined]);
});

test("a patch tells its region only if the program has the version before", () => {
  const extents = [{ start: 1n, count: 1n, step: 1n }];
  const patch = { spec: { name: "w", dtype: "uint8", shape: [1] }, extents, payload: Uint8Array.of(2) } as const;
  const whole = new Message(received({ patch }), 0, undefined, true);
  expect([whole.region, whole.patched, [...(whole.patch?.bytes ?? [])]]).toEqual([extents, "w", [2]]);
  const after = new Message(received({ patch }), 0, undefined, false);
  expect([after.region, after.patched, after.patch]).toEqual([undefined, undefined, undefined]);
});

test("answers go to the handle, and an observer has none to give", () => {
  const handle = { answer: vi.fn(), inProgress: vi.fn() };
  const message = new Message(received(), 0, handle, true);
  message.ack();
  message.nack();
  message.nack(Code.INTERNAL);
  message.inProgress();
  expect(handle.answer.mock.calls).toEqual([[0], [Code.NOT_PROCESSED], [Code.INTERNAL]]);
  expect(handle.inProgress).toHaveBeenCalledTimes(1);
  expect(() => message.nack(0)).toThrow(InvalidArgument);
  expect(() => new Message(received({}, true), 0, undefined, true).ack()).toThrow(/observe: false/);
});

test("the numbers of a quantized view are restored, those of others are the tensor", () => {
  const quantized = { dtype_code: 12, scale: 0.5, zero_point: 2 };
  const fields = { extensions: { quantized } };
  const message = new Message(received(fields), 0, undefined, true);
  expect([message.dequantized().dtype, [...message.dequantized().data]]).toEqual(["float32", [-0.5, 0]]);
  expect([...new RecordBatch(received(fields), 0, undefined).dequantized().data]).toEqual([-0.5, 0]);
  const plain = new Message(received(), 0, undefined, true);
  expect(plain.dequantized()).toBe(plain.tensor);
});

test("a batch leaves out the records that the subscription has had", () => {
  const batch = new RecordBatch(received({ payload: Uint8Array.of(1, 2, 3, 4), count: 4, offset: 6n }), 1, undefined);
  expect([batch.offset, batch.count, batch.tensor.shape, [...batch.tensor.bytes]]).toEqual([7n, 3, [3, 1], [2, 3, 4]]);
  const alone = new RecordBatch(received(), 0, undefined);
  expect([alone.count, alone.tensor.shape]).toEqual([1, [1, 2]]);
});
