import { expect, test } from "vitest";
import { npyOf } from "../../src/overview/first_tensor.ts";

test("the tensor is a .npy file whose data begins at a multiple of 64", async () => {
  const bytes = new Uint8Array(await npyOf().arrayBuffer());
  expect(bytes.byteLength).toBe(128 + 4 * 64 * 64);
  expect([...bytes.slice(0, 10)]).toEqual([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]);
  expect(new TextDecoder().decode(bytes.slice(10, 128))).toMatch(/^\{'descr': '<f4', .*'shape': \(64, 64\), \} +\n$/);
});
