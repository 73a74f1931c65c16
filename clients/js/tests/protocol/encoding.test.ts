import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import {
  decode,
  decodeInto,
  distanceOf,
  type Encoding,
  encode,
  loadCodecs,
  parseEncoding,
  writeEncoding,
} from "../../src/protocol/encoding.ts";
import { Random } from "../random.ts";

function chain(...steps: [id: number, param: number][]): Encoding {
  return { decoded_bytes: 16, steps: steps.map(([id, param]) => ({ id, param })) };
}

test.each<Encoding>([
  chain(),
  chain([1, 0]),
  chain([16, 8], [2, 0]),
  chain([17, 255], [16, 4], [3, 0]),
  chain([21, 1], [4, 5]),
])("%o is read as it was written", (encoding) => {
  expect(parseEncoding(writeEncoding(encoding))).toEqual(encoding);
});

test.each<[string, [number, number][]]>([
  ["unknown codec id 9", [[9, 0]]],
  [
    "lz4 is not the last step",
    [
      [1, 0],
      [16, 4],
    ],
  ],
  ["lz4 has parameter 1", [[1, 1]]],
  ["pco has parameter 1", [[4, 1]]],
  ["shuffle has parameter 17", [[16, 17]]],
  ["xor has parameter 0", [[17, 0]]],
  [
    "a filter occurs twice",
    [
      [16, 4],
      [16, 8],
    ],
  ],
  [
    "two delta filters",
    [
      [17, 1],
      [20, 1],
    ],
  ],
])("a chain is refused: %s", (problem, steps) => {
  const block = writeEncoding(chain(...steps));
  expect(() => parseEncoding(block)).toThrow(problem);
  expect(() => parseEncoding(block)).toThrow(expect.objectContaining({ code: Code.UNKNOWN_CODEC }));
});

test("the distance is that of the delta", () => {
  expect([chain([16, 4]), chain([20, 7], [1, 0])].map(distanceOf)).toEqual([0, 7]);
});

test("plain data is returned itself", () => {
  const data = new Uint8Array(16);
  expect(decode(undefined, data)).toBe(data);
  expect(decode(chain(), data)).toBe(data);
  expect(() => decode(chain(), data.subarray(1))).toThrow(expect.objectContaining({ code: Code.CORRUPT_PAYLOAD }));
});

test("a delta needs its base, of the same size", () => {
  const data = new Uint8Array(16).fill(1);
  expect(decode(chain([17, 1]), data, new Uint8Array(16).fill(3))).toEqual(new Uint8Array(16).fill(2));
  for (const base of [undefined, new Uint8Array(8)]) {
    expect(() => decode(chain([17, 1]), data, base)).toThrow(expect.objectContaining({ code: Code.CORRUPT_PAYLOAD }));
  }
});

test("a declared size that no data reaches is refused before it is allocated", () => {
  const encoding = { ...chain([1, 0]), decoded_bytes: 2 ** 31 };
  expect(() => decode(encoding, new Uint8Array(100))).toThrow(expect.objectContaining({ code: Code.CORRUPT_PAYLOAD }));
  expect(() => decodeInto(encoding, new Uint8Array(100), new Uint8Array(16))).toThrow("16 are expected");
});

test("codecs of our own need no loading", () => {
  expect(loadCodecs(undefined)).toBeUndefined();
  expect(loadCodecs(chain([16, 4], [1, 0]))).toBeUndefined();
});

test("codecs that are loaded are there afterwards", async () => {
  for (const id of [2, 3]) {
    await loadCodecs(chain([id, 0]));
    expect(loadCodecs(chain([id, 0]))).toBeUndefined();
  }
});

test.each([1, 2, 4, 8, 16])("elements of %i bytes are decoded to what was encoded", (itemBytes) => {
  const random = new Random(itemBytes);
  for (let round = 0; round < 50; round++) {
    const payload = random.bytes(200 + random.below(3000), 1 + random.below(2));
    const encoded = encode(payload, itemBytes);
    expect(encoded).toBeDefined();
    expect(encoded && decode(encoded.encoding, encoded.data)).toEqual(payload);
  }
});

test("what encoding does not make smaller is sent plain", () => {
  const random = new Random(5);
  for (const size of [0, 1, 17, 1000]) {
    expect(encode(random.bytes(size))).toBeUndefined();
  }
});
