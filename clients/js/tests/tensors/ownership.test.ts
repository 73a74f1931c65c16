import { expect, test } from "vitest";
import { viewTensors } from "../../src/protocol/tensors.ts";
import { SMALL_BUFFER_BYTES, SMALL_TENSOR_BYTES, unpinned } from "../../src/tensors/ownership.ts";

test("bytes that would keep a large buffer for a small tensor are copied", () => {
  const large = new Uint8Array(SMALL_BUFFER_BYTES + 1);
  const small = new Uint8Array(SMALL_BUFFER_BYTES);
  const rule = (buffer: Uint8Array, bytes: number) => unpinned(buffer.subarray(0, bytes)).buffer === buffer.buffer;
  expect(rule(large, SMALL_TENSOR_BYTES)).toBe(false);
  expect(rule(large, SMALL_TENSOR_BYTES + 1)).toBe(true);
  expect(rule(small, SMALL_TENSOR_BYTES)).toBe(true);
  expect(unpinned(large.subarray(3, 5)).buffer.byteLength).toBe(2);
});

test("tensors of a message keep to it", () => {
  const payload = new Uint8Array(SMALL_BUFFER_BYTES + 8);
  const [tiny, rest] = viewTensors(
    [
      { name: "a", dtype: "float64", shape: [] },
      { name: "b", dtype: "float32", shape: [SMALL_BUFFER_BYTES / 4] },
    ],
    payload,
  );
  expect(tiny.bytes.buffer.byteLength).toBe(8);
  expect(rest.bytes.buffer).toBe(payload.buffer);
});
