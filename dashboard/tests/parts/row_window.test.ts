import { expect, test } from "vitest";
import { windowOf } from "../../src/parts/row_window.ts";

test.each([
  [0, 330, 1000, { first: 0, last: 18 }],
  [33 * 500, 330, 1000, { first: 492, last: 518 }],
  [33 * 995, 330, 1000, { first: 987, last: 1000 }],
  [33 * 500, 330, 20, { first: 11, last: 20 }],
  [0, 330, 0, { first: 0, last: 0 }],
])("scrolled by %s px with %s px in sight of %s rows", (scrollPx, heightPx, rows, found) => {
  expect(windowOf(scrollPx, heightPx, rows, 33)).toEqual(found);
});
