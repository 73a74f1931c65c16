import { expect, test } from "vitest";
import { viewFields } from "../src/options.ts";

test("a view has the fields of SUBSCRIBE, and those only that were given", () => {
  expect(viewFields(undefined)).toBeUndefined();
  expect(viewFields({})).toEqual({});
  const slice = [[null, null, 4], "..."] as const;
  expect(viewFields({ slice, maxRateHz: 10, tensor: "" })).toEqual({ slice, max_rate_hz: 10, tensor: "" });
});
