import { expect, test } from "vitest";
import { VIEWS, viewOf } from "../../src/app/views.ts";

test("each view has an address of its own, and none is found elsewhere", () => {
  expect(new Set(VIEWS.map(({ segment }) => segment)).size).toBe(VIEWS.length);
  for (const view of VIEWS) {
    expect(viewOf({ path: view.segment ? [view.segment, "more"] : [], query: {} })).toBe(view);
  }
  expect(viewOf({ path: ["nothing"], query: {} })).toBeUndefined();
});
