import { expect, test } from "vitest";
import { errorFields, errorFrom } from "../src/error_fields.ts";
import { Code, ConnectionClosed, ConnectionFailed, RequestFailed, RequestRefused, UsageError } from "../src/errors.ts";

test.each([
  new RequestRefused(Code.QUEUE_FULL, "the queue is full", 2),
  new RequestFailed(Code.INTERNAL, "agent:a failed: no"),
  new ConnectionFailed("no gateway", 4100, 3),
  new ConnectionClosed(Code.SUPERSEDED, "another program"),
  new UsageError("give a stream"),
])("%o is the same error behind a clone, and behind JSON", (error) => {
  for (const fields of [structuredClone(errorFields(error)), JSON.parse(JSON.stringify(errorFields(error)))]) {
    const found = errorFrom(fields);
    expect(found).toBeInstanceOf(error.constructor);
    expect(found).toEqual(error);
    expect([found.message, found.stack, found.name]).toEqual([error.message, error.stack, error.name]);
    expect(found instanceof RequestRefused && found.action).toBe(error instanceof RequestRefused && error.action);
  }
});

test("whatever else was thrown is an error as well", () => {
  expect(errorFrom(errorFields("no"))).toMatchObject({ name: "Error", message: "no" });
  const other = errorFrom(errorFields(new TypeError("no")));
  expect([other.name, other.message, other.constructor]).toEqual(["TypeError", "no", Error]);
});
