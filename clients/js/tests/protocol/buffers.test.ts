import { expect, test } from "vitest";
import { bytesOf, joined, viewOf, withPadding } from "../../src/protocol/buffers.ts";

test("buffers are joined in order", () => {
  const buffers = [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)];
  expect([...joined(buffers)]).toEqual([1, 2, 3]);
  expect(bytesOf(buffers)).toBe(3);
});

test.each([0, 1, 7, 8, 9])("%i bytes are padded to a unit of 8", (size) => {
  expect(bytesOf(withPadding([new Uint8Array(size)]))).toBe(8 * Math.ceil(size / 8));
});

test("a view is over the bytes themselves", () => {
  const bytes = new Uint8Array(16).subarray(3, 8);
  viewOf(bytes).setUint8(4, 9);
  expect(bytes[4]).toBe(9);
});
