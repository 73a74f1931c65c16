/** A page imports the client from a running gateway, which is another origin, and decodes by the parts that it loads. */

import { expect, inject, test } from "vitest";
import type * as client from "../../src/index.ts";

const CLIENT = `${inject("adminUrl")}/client/frys.js`;

test("a page imports the client from the gateway", async () => {
  const { Tensor }: typeof client = await import(/* @vite-ignore */ CLIENT);
  expect(Tensor.from(Float32Array.of(1, 2)).slice([1]).toNested()).toEqual([2]);
});

test.each([2, 3])("the compressor of codec %i is loaded when it is first met", async (id) => {
  const { decode, loadCodecs }: typeof client = await import(/* @vite-ignore */ CLIENT);
  const encoding = { decoded_bytes: 5, steps: [{ id, param: 0 }] };
  await loadCodecs(encoding);
  const zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 0x29, 0, 0, ...new TextEncoder().encode("hello")];
  const snappy = [5, 0x10, ...new TextEncoder().encode("hello")];
  expect(new TextDecoder().decode(decode(encoding, Uint8Array.from(id === 2 ? zstd : snappy)))).toBe("hello");
});
