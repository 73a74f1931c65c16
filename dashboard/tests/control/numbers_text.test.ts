import { describe, expect, test } from "vitest";
import { tensorIn, type WrittenDtype } from "../../src/control/numbers_text.ts";

describe("numbers as people write them", () => {
  test.each<[string, WrittenDtype, string, number[], unknown[]]>([
    ["1, 2, 3", "float32", "", [3], [1, 2, 3]],
    ["0.5", "float64", "", [], [0.5]],
    ["1 2\n3 4", "int16", "2, 2", [2, 2], [1, 2, 3, 4]],
    ["1 2 3 4", "int16", "[4, 1]", [4, 1], [1, 2, 3, 4]],
    ["[[1, 2], [3, 4], [5, 6]]", "uint8", "", [3, 2], [1, 2, 3, 4, 5, 6]],
    ["[1]", "int8", "", [1], [1]],
    ["", "float32", "", [0], []],
    ["[[], []]", "float32", "", [2, 0], []],
    ["9223372036854775807, -1", "int64", "", [2], [2n ** 63n - 1n, -1n]],
    ["true, false, 1, 0", "bool", "", [4], [1, 0, 1, 0]],
    ["nan, -inf, Inf", "float32", "", [3], [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]],
  ])("%s as %s", (text, dtype, shapeText, shape, elements) => {
    const found = tensorIn(text, dtype, shapeText);
    expect([found.dtype, found.shape, [...found.array]]).toEqual([dtype, shape, elements]);
  });

  test.each<[string, WrittenDtype, string, string]>([
    ["1, two", "float32", "", "two is no number"],
    ["256", "uint8", "", "256 is no uint8"],
    ["1.5", "int32", "", "1.5 is no int32"],
    ["1.5", "int64", "", "1.5 is no whole number"],
    ["9223372036854775808", "int64", "", "9223372036854775808 is no int64"],
    ["1e39", "float32", "", "1e39 is no float32"],
    ["2", "bool", "", "2 is no bool"],
    ["nan", "int8", "", "nan is no int8"],
    ["[[1, 2], [3]]", "float32", "", "the lists differ in length"],
    ["[1, [2]]", "float32", "", "the lists differ in length"],
    ["[1, 2", "float32", "", "there is a ] missing"],
    ["[1]]", "float32", "", "there is a ] too many"],
    ["1]", "float32", "", "a list ends that has not begun"],
    ["[1] [2]", "float32", "", "more than one list"],
    ["1, 2, 3", "float32", "2, 2", "there are 3 numbers, and the shape [2, 2] has 4"],
    ["1", "float32", "one", "one in the shape is no size"],
  ])("%s as %s is refused", (text, dtype, shapeText, problem) => {
    expect(() => tensorIn(text, dtype, shapeText)).toThrow(problem);
  });
});
