import { expect, test } from "vitest";
import { Code, InvalidArgument } from "../../src/errors.ts";
import { type JsonObject, parseJson, utf8Bytes, writeJson } from "../../src/protocol/exact_json.ts";

function parse(text: string): unknown {
  return parseJson("text", utf8Bytes(text));
}

test.each([
  ['{"a":9007199254740991}', { a: 9007199254740991 }],
  ['{"a":9007199254740992}', { a: 9007199254740992n }],
  ['{"a":[-9223372036854775808,18446744073709551615]}', { a: [-9223372036854775808n, 18446744073709551615n] }],
  ['{"9007199254740993":"9007199254740993"}', { "9007199254740993": "9007199254740993" }],
  [' { "a" : [ ] , "b\\"{" : { } , "c" : 1770000000000000000 } ', { a: [], 'b"{': {}, c: 1770000000000000000n }],
  ['{"a":1770000000000000000.5,"b":[null,true,"\\u00e4\\\\"]}', { a: 1.77e18, b: [null, true, "ä\\"] }],
  ['{"a":10000000000000000000e1}', { a: 1e20 }],
])("%s is exact", (text, value) => {
  expect(parse(text)).toEqual(value);
});

test("a field cannot change the prototype of its object", () => {
  const parsed = parse('{"__proto__":{"polluted":1770000000000000000}}') as object;
  expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
  expect(Object.keys(parsed)).toEqual(["__proto__"]);
});

test.each(['{"a":', "", "NaN", "\ufeff{}", '{"a":1770000000000000000', "[1770000000000000000,]"])(
  "'%s' is no JSON",
  (text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: Code.INVALID_REQUEST }));
  },
);

test("bytes that are not UTF-8 are refused", () => {
  expect(() => parseJson("text", Uint8Array.of(0x22, 0xff, 0x22))).toThrow("text is not JSON");
});

test("deep nesting is refused and no overflow of the stack", () => {
  for (const [depth, inner] of [
    [100_000, "1770000000000000000"],
    [1025, "1"],
    [1025, '{"a":"]]]","b\\"":[]}'],
  ] as const) {
    const deep = `${"[".repeat(depth)}${inner}${"]".repeat(depth)}`;
    expect(() => parse(deep)).toThrow(expect.objectContaining({ code: Code.INVALID_REQUEST }));
  }
  expect(() => structuredClone(parse(`${"[".repeat(1024)}1${"]".repeat(1024)}`))).not.toThrow();
  const flat = `[${'{"[[\\"":["{{"]},'.repeat(2000)}1]`;
  expect(parse(flat)).toHaveLength(2001);
});

test("a text of a megabyte is read", () => {
  const text = "ä\\n".repeat(300_000);
  expect(parse(`{"a":"${text}","b":1770000000000000000}`)).toEqual({
    a: text.replaceAll("\\n", "\n"),
    b: 1770000000000000000n,
  });
});

test("what is written is read again", () => {
  const value: JsonObject = { a: 18446744073709551615n, b: [1.5, null, false], c: { d: "ü\n", e: [] } };
  expect(writeJson(value)).toBe('{"a":18446744073709551615,"b":[1.5,null,false],"c":{"d":"ü\\n","e":[]}}');
  expect(parse(writeJson(value))).toEqual(value);
});

test("absent fields are left out, and reals have a fraction", () => {
  const value = { a: 20, b: undefined, view: { rate: 10, other: 10 } };
  expect(writeJson(value, new Set(["a", "view.rate"]))).toBe('{"a":20.0,"view":{"rate":10.0,"other":10}}');
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, () => 1, Symbol("a")])("%s cannot be written", (value) => {
  expect(() => writeJson({ a: [value] } as unknown as JsonObject)).toThrow(InvalidArgument);
});
