import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import { utf8Bytes } from "../../src/protocol/exact_json.ts";
import { JsonBody } from "../../src/protocol/json_body.ts";

function body(text: string): JsonBody {
  return JsonBody.parse("TEST", utf8Bytes(text));
}

const FIELDS = body(
  '{"n":7,"big":18446744073709551615,"x":1.5,"t":"text","b":true,"o":{"n":1},"l":["a"],"i":[1,2],"p":[3,9007199254740993],"nothing":null}',
);

test("an integer's type depends on its field alone", () => {
  expect([FIELDS.integer("n"), FIELDS.long("n"), FIELDS.long("big")]).toEqual([7, 7n, 18446744073709551615n]);
  expect(FIELDS.pair("p", 3)).toEqual([3, 9007199254740993n]);
});

test("each type is read by its method", () => {
  expect(FIELDS.number("x")).toBe(1.5);
  expect(FIELDS.text("t")).toBe("text");
  expect(FIELDS.booleanOrUndefined("b")).toBe(true);
  expect(FIELDS.nested("o").integer("n")).toBe(1);
  expect(FIELDS.mapping("o")).toEqual({ n: 1 });
  expect(FIELDS.texts("l")).toEqual(["a"]);
  expect(FIELDS.integers("i")).toEqual([1, 2]);
  expect(FIELDS.choice("t", ["other", "text"])).toBe("text");
  expect(FIELDS.names()).toContain("nothing");
});

test("null counts as absent", () => {
  expect(FIELDS.has("nothing")).toBe(false);
  expect(FIELDS.integerOrUndefined("nothing")).toBeUndefined();
  expect(FIELDS.texts("nothing")).toEqual([]);
});

test("fields of all objects count as absent", () => {
  expect(body("{}").has("constructor")).toBe(false);
  expect(() => body("{}").text("toString")).toThrow("field 'toString' is required");
});

test.each<[string, () => unknown]>([
  ["field 'big' must be from 0 to", () => FIELDS.integer("big")],
  ["field 'n' must be from 8 to", () => FIELDS.integer("n", 9, 8)],
  ["field 'x' must be an integer, met the number 1.5", () => FIELDS.integer("x")],
  ["field 't' must be a number, met a string", () => FIELDS.number("t")],
  ["field 'n' must be a string", () => FIELDS.text("n")],
  ["field 'n' must be a boolean", () => FIELDS.booleanOrUndefined("n")],
  ["field 'i' must be an object, met a list", () => FIELDS.nested("i")],
  ["field 'i' must be a list of strings", () => FIELDS.texts("i")],
  ["field 'l' must be a list of integers", () => FIELDS.integers("l")],
  ["field 'l' must be two integers, met 1", () => FIELDS.pair("l", 1)],
  ["field 'l' must be a list of objects", () => FIELDS.objects("l")],
  ["field 't' must be one of a, b, met \"text\"", () => FIELDS.choice("t", ["a", "b"])],
  ["must be a JSON object, met a list", () => body("[]")],
])("refused: %s", (problem, read) => {
  expect(read).toThrow(problem);
  expect(read).toThrow(expect.objectContaining({ code: Code.INVALID_REQUEST }));
});
