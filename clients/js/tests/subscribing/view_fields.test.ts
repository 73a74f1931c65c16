import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import { viewFields } from "../../src/subscribing/view_fields.ts";

test("a view has the fields of SUBSCRIBE, and those only that were given", () => {
  expect(viewFields(undefined)).toBeUndefined();
  expect(viewFields({})).toEqual({});
  const slice = [[null, null, 4], "..."] as const;
  expect(viewFields({ slice, maxRateHz: 10, tensor: "" })).toEqual({ slice, max_rate_hz: 10, tensor: "" });
});

test("an impossible view fails", () => {
  expect(() => viewFields({ maxRateHz: -1 })).toThrow(expect.objectContaining({ code: Code.INVALID_VIEW }));
});
