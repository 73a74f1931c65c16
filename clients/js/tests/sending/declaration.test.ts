import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import { type Declaration, holds, isWithin, merged } from "../../src/sending/declaration.ts";
import { streamInfo } from "../fakes.ts";

const SCHEMA = { dtype: "float32", shape: [2, null] };

test.each<[Declaration, Declaration, boolean]>([
  [{}, { kind: "event" }, true],
  [{ kind: "event" }, {}, false],
  [{ kind: "event" }, { kind: "state" }, false],
  [{ durability: "os" }, { kind: "event", durability: "os" }, true],
  [{ schema: SCHEMA }, { schema: { ...SCHEMA } }, true],
  [{ schema: SCHEMA }, { schema: { dtype: "int8", shape: [] } }, false],
])("%j within %j: %s", (asked, declared, expected) => {
  expect(isWithin(asked, declared)).toBe(expected);
});

test("the newer declaration goes first", () => {
  expect(merged({ kind: "event" }, { kind: "state", durability: "os" })).toMatchObject({
    kind: "event",
    durability: "os",
  });
});

test.each<[Declaration, number]>([
  [{ kind: "state" }, Code.KIND_MISMATCH],
  [{ durability: "fsync" }, Code.DURABILITY_MISMATCH],
  [{ schema: { dtype: "int8", shape: [] } }, Code.SCHEMA_MISMATCH],
])("%j contradicts the stream", (asked, code) => {
  const info = streamInfo({ schema: SCHEMA });
  expect(() => holds(asked, info)).toThrow(expect.objectContaining({ code }));
});

test("a schema that the stream has not yet needs an OPEN of its own", () => {
  expect(holds({ schema: SCHEMA, kind: "event", durability: "memory" }, streamInfo({}))).toBe(false);
  expect(holds({ schema: SCHEMA }, streamInfo({ schema: SCHEMA }))).toBe(true);
});
