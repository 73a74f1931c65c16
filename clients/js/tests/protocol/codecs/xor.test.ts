import { expect, test } from "vitest";
import { XOR } from "../../../src/protocol/codecs/xor.ts";
import { Random } from "../../random.ts";

test("xor is its own inverse, at every length and place", () => {
  const random = new Random(1);
  for (const size of [0, 1, 3, 4, 7, 1001]) {
    const [payload, base] = [random.bytes(size), random.bytes(size)];
    const changes = payload.map((byte, index) => byte ^ base[index]);
    for (const place of [0, 1, 4]) {
      const out = new Uint8Array(place + size).subarray(place);
      const data = new Uint8Array(place + size).subarray(place);
      data.set(changes);
      XOR.decodeInto(data, out, 1, base);
      expect(out).toEqual(payload);
    }
  }
});
