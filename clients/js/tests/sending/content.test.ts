import { expect, test } from "vitest";
import { InvalidArgument, UnsupportedDtype } from "../../src/errors.ts";
import { Tensor } from "../../src/protocol/tensors.ts";
import { contentOf, type Value } from "../../src/sending/content.ts";

test("the payload is a copy made at the call", () => {
  const array = Float32Array.of(1, 2);
  const content = contentOf(array, null, { shape: [2, 1] });
  array[0] = 9;
  expect([...new Float32Array(content.payload.slice().buffer)]).toEqual([1, 2]);
  expect(content.specs).toEqual([{ name: "", dtype: "float32", shape: [2, 1] }]);
  expect(content.itemBytes).toBe(4);
});

test("named tensors keep their order, and start on multiples of 8", () => {
  const content = contentOf({ a: Uint8Array.of(1), b: Tensor.from(Int16Array.of(2, 3), [1, 2]) }, { step: 1 });
  expect(content.specs.map(({ name, shape }) => [name, shape])).toEqual([
    ["a", [1]],
    ["b", [1, 2]],
  ]);
  expect([content.payload.byteLength, content.itemBytes]).toEqual([12, 1]);
});

test("nothing at all is a message of headers", () => {
  expect(contentOf(null, { done: true })).toMatchObject({ specs: [], payload: new Uint8Array(0) });
});

test("dtypes that arrays do not tell are named", () => {
  expect(contentOf(new Uint16Array(2), null, { dtype: "bfloat16" }).specs[0].dtype).toBe("bfloat16");
});

test.each<[unknown, object, typeof InvalidArgument | typeof UnsupportedDtype]>([
  [[1, 2], {}, InvalidArgument],
  ["text", {}, InvalidArgument],
  [{ a: [1] }, {}, InvalidArgument],
  [new DataView(new ArrayBuffer(8)), {}, UnsupportedDtype],
  [new Float32Array(4), { shape: [3] }, InvalidArgument],
  [Tensor.from(new Float32Array(4)), { shape: [4] }, InvalidArgument],
  [{ a: new Int8Array(1) }, { shape: [1] }, InvalidArgument],
])("%j with %j is refused", (value, options, error) => {
  expect(() => contentOf(value as Value, null, options)).toThrow(error);
});
