import { expect, test } from "vitest";
import { elementAt, moved, wholeViewport, zoomed } from "../../src/viewer/viewport.ts";

const PLANE = { width: 200, height: 100 };

test("the whole plane is shown with square elements, in the middle", () => {
  expect(wholeViewport(PLANE, { width: 400, height: 400 })).toEqual({ left: 0, right: 200, top: -50, bottom: 150 });
  expect(wholeViewport(PLANE, { width: 400, height: 100 })).toEqual({ left: -100, right: 300, top: 0, bottom: 100 });
});

test("a plane that is very long fills the canvas", () => {
  const viewport = wholeViewport({ width: 10_000, height: 3 }, { width: 400, height: 300 });
  expect(viewport).toEqual({ left: 0, right: 10_000, top: 0, bottom: 3 });
});

test("zoom keeps the element under the pointer, and has bounds", () => {
  const viewport = { left: 0, right: 200, top: 0, bottom: 100 };
  expect(zoomed(viewport, 0.5, 0.25, 1, PLANE)).toEqual({ left: 25, right: 125, top: 50, bottom: 100 });
  const near = zoomed(viewport, 1e-9, 0.5, 0.5, PLANE);
  expect(near.right - near.left).toBe(1);
});

test("a viewport that is moved keeps its size, and the plane in reach", () => {
  const viewport = { left: 0, right: 50, top: 0, bottom: 50 };
  expect(moved(viewport, 0.5, 0, PLANE)).toEqual({ left: 25, right: 75, top: 0, bottom: 50 });
  expect(moved(viewport, 100, 100, PLANE)).toEqual({ left: 175, right: 225, top: 75, bottom: 125 });
});

test("the element under a place", () => {
  const viewport = wholeViewport(PLANE, { width: 400, height: 400 });
  expect(elementAt(viewport, 0, 0.25, PLANE)).toEqual([0, 0]);
  expect(elementAt(viewport, 0.999, 0.7499, PLANE)).toEqual([99, 199]);
  expect(elementAt(viewport, 0.5, 0.1, PLANE)).toBeUndefined();
});
