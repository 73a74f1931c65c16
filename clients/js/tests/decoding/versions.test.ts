import { expect, test } from "vitest";
import { patched, type Version, Versions } from "../../src/decoding/versions.ts";
import { Code } from "../../src/errors.ts";
import { extentsOf } from "../../src/protocol/regions.ts";

const SPEC = { name: "", dtype: "uint8", shape: [4] } as const;

function version(payload: Uint8Array, epoch = 1): Version {
  return { epoch, offset: 3n, specs: [{ ...SPEC, shape: [payload.byteLength] }], headers: null, payload };
}

test("small versions do not keep the message in which they came, large ones are not copied", () => {
  const versions = new Versions();
  const [small, large] = [new Uint8Array(100), new Uint8Array(16 * 1024)];
  versions.keep("a", version(small));
  versions.keep("b", version(large));
  expect(versions.of("a", 1)?.payload).not.toBe(small);
  expect(versions.of("b", 1)?.payload).toBe(large);
  expect(versions.of("a", 2)).toBeUndefined();
  versions.forgetIf((key) => key === "a");
  versions.forget("b");
  expect([versions.of("a", 1), versions.of("b", 1)]).toEqual([undefined, undefined]);
});

test("a patch makes a version in memory of its own", () => {
  const before = version(Uint8Array.of(1, 2, 3, 4));
  const after = patched(before, { ...SPEC, shape: [2] }, extentsOf([[1, 3]]), Uint8Array.of(8, 9));
  expect([[...before.payload], [...after]]).toEqual([
    [1, 2, 3, 4],
    [1, 8, 9, 4],
  ]);
});

test("a patch of another tensor is refused", () => {
  const before = version(Uint8Array.of(1, 2));
  for (const spec of [
    { ...SPEC, name: "w" },
    { ...SPEC, dtype: "int8" as const },
  ]) {
    expect(() => patched(before, spec, extentsOf([0]), Uint8Array.of(1))).toThrow(
      expect.objectContaining({ code: Code.INVALID_REGION }),
    );
  }
});
