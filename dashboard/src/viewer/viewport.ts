/** Viewport: the part of the plane on the canvas. Each edge is a number of elements, so that both axes are linear. */

import type { Viewport } from "./settings.ts";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Room for labels beside a line plot, in pixels of the style. */
export const PLOT_MARGIN = { left: 64, right: 12, top: 12, bottom: 28 };

/** Elements at least on each axis. */
const LEAST = 1;
/** Tensors that are longer than this many times their breadth fill the canvas, with elements that are not square. */
const LONGEST = 6;

/** Return the viewport that shows the whole plane, with square elements unless it is very long. */
export function wholeViewport(plane: Size, canvas: Size): Viewport {
  const [width, height] = [Math.max(1, plane.width), Math.max(1, plane.height)];
  const ratio = width / height / (canvas.width / Math.max(1, canvas.height));
  if (ratio > LONGEST || ratio < 1 / LONGEST) {
    return { top: 0, bottom: height, left: 0, right: width };
  }
  const beside = ratio < 1 ? (width / ratio - width) / 2 : 0;
  const above = ratio > 1 ? (height * ratio - height) / 2 : 0;
  return { top: 0 - above, bottom: height + above, left: 0 - beside, right: width + beside };
}

/** Return a viewport that shows `factor` of this one, with the same element under a place from 0 to 1 on each axis. */
export function zoomed(viewport: Viewport, factor: number, x: number, y: number, plane: Size): Viewport {
  const width = limited((viewport.right - viewport.left) * factor, plane.width);
  const height = limited((viewport.bottom - viewport.top) * factor, plane.height);
  const left = viewport.left + (viewport.right - viewport.left) * x - width * x;
  const top = viewport.top + (viewport.bottom - viewport.top) * y - height * y;
  return { top, bottom: top + height, left, right: left + width };
}

function limited(length: number, size: number): number {
  return Math.min(Math.max(length, LEAST), Math.max(2 * size, 2 * LEAST) * LONGEST);
}

/** Return a viewport that is moved by shares of its size; the plane's middle stays within reach. */
export function moved(viewport: Viewport, x: number, y: number, plane: Size): Viewport {
  const [width, height] = [viewport.right - viewport.left, viewport.bottom - viewport.top];
  const left = Math.min(Math.max(viewport.left + x * width, -width / 2), plane.width - width / 2);
  const top = Math.min(Math.max(viewport.top + y * height, -height / 2), plane.height - height / 2);
  return { top, bottom: top + height, left, right: left + width };
}

/** Return the element under a place from 0 to 1 on each axis; undefined outside of the plane. */
export function elementAt(
  viewport: Viewport,
  x: number,
  y: number,
  plane: Size,
): readonly [row: number, column: number] | undefined {
  const column = Math.floor(viewport.left + (viewport.right - viewport.left) * x);
  const row = Math.floor(viewport.top + (viewport.bottom - viewport.top) * y);
  return row >= 0 && row < plane.height && column >= 0 && column < plane.width ? [row, column] : undefined;
}
