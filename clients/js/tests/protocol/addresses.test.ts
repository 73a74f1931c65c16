import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import { checkAddress, checkScope } from "../../src/protocol/addresses.ts";

const INVALID = expect.objectContaining({ code: Code.INVALID_NAME });

test("addresses and scopes", () => {
  expect([checkAddress("agent:a"), checkAddress("group:g-1")]).toEqual(["agent:a", "group:g-1"]);
  expect([checkScope("wf"), checkScope("wf/a")]).toEqual(["wf", "wf/a"]);
  for (const wrong of ["agent:", "agent:-a", "peer:a", "a"]) {
    expect(() => checkAddress(wrong)).toThrow(INVALID);
  }
  expect(() => checkScope("wf/*")).toThrow(INVALID);
});
