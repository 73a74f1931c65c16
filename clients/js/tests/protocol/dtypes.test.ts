import { expect, test } from "vitest";
import { Code, UnsupportedDtype } from "../../src/errors.ts";
import { codeOf, DTYPES, type Dtype, dtypeOf, itemBytesOf } from "../../src/protocol/dtypes.ts";

test("codes start at 1", () => {
  expect(DTYPES.map(codeOf)).toEqual(DTYPES.map((_, index) => index + 1));
  expect(DTYPES.map((dtype) => dtypeOf(codeOf(dtype)))).toEqual(DTYPES);
});

test.each([0, 16, 255])("code %i is refused", (code) => {
  expect(() => dtypeOf(code)).toThrow(expect.objectContaining({ code: Code.INVALID_TENSOR }));
});

test("the sizes of elements", () => {
  expect(DTYPES.map(itemBytesOf)).toEqual([1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16]);
});

test("a dtype that cannot travel", () => {
  expect(() => codeOf("float8" as Dtype)).toThrow(UnsupportedDtype);
});
