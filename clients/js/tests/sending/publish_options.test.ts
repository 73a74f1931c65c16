import { expect, test } from "vitest";
import { InvalidArgument, UsageError } from "../../src/errors.ts";
import { declarationOf, nsOf, type PublishOptions } from "../../src/sending/publish_options.ts";

test("a declaration has what was given", () => {
  expect(declarationOf({ kind: "event", durability: "os" })).toMatchObject({ kind: "event", durability: "os" });
  for (const wrong of [{ kind: "events" }, { durability: "disk" }]) {
    expect(() => declarationOf(wrong as PublishOptions)).toThrow(InvalidArgument);
  }
});

test("times are in milliseconds", () => {
  expect([nsOf("expiresInMs", undefined), nsOf("expiresInMs", 0.5)]).toEqual([undefined, 500_000n]);
  expect(() => nsOf("expiresInMs", Number.NaN)).toThrow(UsageError);
});
