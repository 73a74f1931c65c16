import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import type { JsonObject } from "../../src/protocol/exact_json.ts";
import { checkView } from "../../src/protocol/views.ts";

test.each<JsonObject>([
  {},
  { slice: [[null, null, 4], 3, "..."], dtype: "uint8", max_rate_hz: 10, tensor: "" },
  { slice: [[-5, null, -1]] },
])("%j may fit", (view) => {
  expect(() => checkView(view)).not.toThrow();
});

test.each<JsonObject>([
  { rate: 3 },
  { dtype: "int128" },
  { max_rate_hz: 0 },
  { max_rate_hz: 1001 },
  { slice: 3 },
  { slice: [[0, 1]] },
  { slice: [[0, 1, 0]] },
  { slice: [null] },
  { slice: ["...", "..."] },
  { slice: Array.from({ length: 33 }, () => 0) },
])("%j fits nothing", (view) => {
  expect(() => checkView(view)).toThrow(expect.objectContaining({ code: Code.INVALID_VIEW }));
});
