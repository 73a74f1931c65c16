/** Drawing of planes as pixels: a heat map, or an image. One element is one pixel of a sheet, which is laid into the viewport. */

import { colourImage, colourPlane } from "../numbers/colour_maps.ts";
import type { Plane } from "../numbers/plane.ts";
import type { ValueRange } from "../numbers/value_range.ts";
import type { Theme } from "../posts.ts";
import type { ColourMapName, Viewport } from "../settings.ts";
import type { CanvasSize, Plan } from "./slicing_plan.ts";

export type Context = OffscreenCanvasRenderingContext2D;

/** Pixels of a cell from which on the cells of a heat map have lines between them. */
const GRID_PIXELS = 14;

/** Sheet of pixels, whose memory serves all versions of one shape. */
export class Sheet {
  #canvas: OffscreenCanvas | undefined;
  #pixels: ImageData | undefined;

  /** Colour the numbers of a plane. */
  colour(plane: Plane, range: ValueRange, map: ColourMapName, isLog: boolean): void {
    const pixels = this.#pixelsFor(plane);
    if (pixels) {
      colourPlane(plane, range, map, isLog, new Uint32Array(pixels.data.buffer));
      this.#put(pixels);
    }
  }

  /** Take the channels of an image as they are. */
  copy(plane: Plane, isBytes: boolean): void {
    const pixels = this.#pixelsFor(plane);
    if (pixels) {
      colourImage(plane, isBytes, pixels.data);
      this.#put(pixels);
    }
  }

  #pixelsFor({ columns, rows }: Plane): ImageData | undefined {
    if (!columns || !rows) {
      this.#canvas = this.#pixels = undefined;
      return undefined;
    }
    if (this.#pixels?.width !== columns || this.#pixels.height !== rows) {
      this.#pixels = new ImageData(columns, rows);
      this.#canvas = new OffscreenCanvas(columns, rows);
    }
    return this.#pixels;
  }

  #put(pixels: ImageData): void {
    this.#canvas?.getContext("2d")?.putImageData(pixels, 0, 0);
  }

  /** Lay the sheet into a canvas: the elements of the plan to their places in the viewport. */
  draw(
    context: Context,
    size: CanvasSize,
    plan: Pick<Plan, "rows" | "columns">,
    viewport: Viewport,
    theme: Theme,
  ): void {
    context.fillStyle = theme.ground;
    context.fillRect(0, 0, size.width, size.height);
    if (!this.#canvas) {
      return;
    }
    const { rows, columns } = plan;
    const perColumn = size.width / (viewport.right - viewport.left);
    const perRow = size.height / (viewport.bottom - viewport.top);
    const width = this.#canvas.width * columns.step * perColumn;
    const height = this.#canvas.height * rows.step * perRow;
    const x = (columns.start - viewport.left) * perColumn;
    const y = (rows.start - viewport.top) * perRow;
    // Elements that are larger than pixels keep their edges.
    context.imageSmoothingEnabled = perColumn * columns.step < 1 || perRow * rows.step < 1;
    context.drawImage(this.#canvas, x, y, width, height);
    if (perColumn >= GRID_PIXELS && perRow >= GRID_PIXELS) {
      drawCells(context, { x, y, width, height }, perColumn, perRow, size);
    }
  }
}

function drawCells(
  context: Context,
  { x, y, width, height }: { readonly x: number; readonly y: number; readonly width: number; readonly height: number },
  perColumn: number,
  perRow: number,
  size: CanvasSize,
): void {
  context.strokeStyle = "rgb(128 128 128 / 35%)";
  context.lineWidth = 1;
  context.beginPath();
  for (let at = x; at <= x + width + 0.5; at += perColumn) {
    if (at >= 0 && at <= size.width) {
      context.moveTo(Math.round(at) + 0.5, Math.max(0, y));
      context.lineTo(Math.round(at) + 0.5, Math.min(size.height, y + height));
    }
  }
  for (let at = y; at <= y + height + 0.5; at += perRow) {
    if (at >= 0 && at <= size.height) {
      context.moveTo(Math.max(0, x), Math.round(at) + 0.5);
      context.lineTo(Math.min(size.width, x + width), Math.round(at) + 0.5);
    }
  }
  context.stroke();
}
