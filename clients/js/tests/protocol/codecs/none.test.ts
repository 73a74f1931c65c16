import { expect, test } from "vitest";
import { NONE } from "../../../src/protocol/codecs/none.ts";

test("data is as it is", async () => {
  const out = new Uint8Array(2);
  await NONE.load();
  NONE.checkSize(Uint8Array.of(1, 2), 2);
  NONE.decodeInto(Uint8Array.of(1, 2), out);
  expect([...out]).toEqual([1, 2]);
  expect(() => NONE.checkSize(out, 3)).toThrow("2 bytes that are not compressed declare 3");
});
