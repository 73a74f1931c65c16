/**
 * Slicing plan: the part of a tensor that a canvas can show, as a view asks for it (spec section 4.5).
 *
 * A dimension on the canvas is taken in steps of so many elements that each pixel has one, at most two; of the others one index.
 */

import type { Mode, Settings, Viewport } from "../settings.ts";
import { wholeViewport } from "../viewport.ts";

/** Elements that a view takes of one dimension. */
export interface Cut {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
}

const MEANINGS = ["rows", "columns", "channels"] as const;
export type Meaning = (typeof MEANINGS)[number];

export interface Plan {
  /** Shape of the whole tensor. */
  readonly shape: readonly number[];
  /** For each dimension the elements that are taken, or the index of the only one. */
  readonly cuts: readonly (Cut | number)[];
  /** Meaning of the dimensions that are left, in the order of the tensor. */
  readonly meanings: readonly Meaning[];
  readonly rows: Cut;
  readonly columns: Cut;
}

/** Size of the canvas in pixels; of the grid of numbers in cells. */
export interface CanvasSize {
  readonly width: number;
  readonly height: number;
}

/** Rows of a matrix that a line plot shows as series. */
const MAX_SERIES = 8;
/** Cells of the grid of numbers at most. */
const MOST_CELLS = { rows: 60, columns: 30 };

/** Return the mode for a tensor of a stream that has no wish of its own, or whose wish does not fit. */
export function fittingMode(wish: Mode | undefined, shape: readonly number[], dtype: string): Mode {
  if (!shape.length || shape.includes(0)) {
    return "numbers";
  }
  const canBeImage = shape.length >= 3 && [3, 4].includes(shape[shape.length - 1]);
  if (wish && wish !== "series" && wish !== "messages" && (wish !== "image" || canBeImage)) {
    return wish;
  }
  if (shape.length === 1) {
    return "line";
  }
  // Floats with three columns are coordinates more often than colours.
  return canBeImage && dtype === "uint8" ? "image" : "heat";
}

/** Return the dimensions on the canvas; those of the settings, if the tensor has them. */
export function axesOf(
  shape: readonly number[],
  mode: Mode,
  settings: Settings,
): { rows?: number; columns?: number; channels?: number } {
  const last = shape.length - 1;
  if (mode === "image") {
    return { rows: last - 2, columns: last - 1, channels: last };
  }
  const [rows, columns] = settings.axes ?? [last - 1, last];
  if (last >= 1 && rows !== columns && rows <= last && columns <= last && rows >= 0 && columns >= 0) {
    return { rows, columns };
  }
  if (last === 0) {
    return mode === "numbers" ? { rows: 0 } : { columns: 0 };
  }
  return last > 0 ? { rows: last - 1, columns: last } : {};
}

export function planOf(
  shape: readonly number[],
  mode: Mode,
  settings: Settings,
  zoom: Viewport | undefined,
  canvas: CanvasSize,
): Plan {
  const axes = axesOf(shape, mode, settings);
  const [height, width] = [axes.rows, axes.columns].map((axis) => (axis === undefined ? 1 : shape[axis]));
  const [rows, columns] = cutsOf(mode, settings, { width, height }, zoom, canvas);
  const cuts: (Cut | number)[] = [];
  const meanings: Meaning[] = [];
  for (const [axis, size] of shape.entries()) {
    const meaning = MEANINGS.find((each) => axes[each] === axis);
    if (meaning) {
      cuts.push({ rows, columns, channels: { start: 0, stop: size, step: 1 } }[meaning]);
      meanings.push(meaning);
    } else {
      cuts.push(Math.max(0, Math.min(settings.at[axis] ?? 0, size - 1)));
    }
  }
  return { shape, cuts, meanings, rows, columns };
}

/** Return the cuts of the two dimensions on the canvas. */
function cutsOf(
  mode: Mode,
  { cell }: Settings,
  plane: CanvasSize,
  zoom: Viewport | undefined,
  canvas: CanvasSize,
): [rows: Cut, columns: Cut] {
  const { width, height } = plane;
  if (mode === "numbers") {
    return [
      gridCut(cell[0], Math.min(canvas.height, MOST_CELLS.rows), height),
      gridCut(cell[1], Math.min(canvas.width, MOST_CELLS.columns), width),
    ];
  }
  if (mode === "line") {
    const { left, right } = zoom ?? { left: 0, right: width };
    return [cutOf(height, 0, height, MAX_SERIES, Math.ceil), cutOf(width, left, right, canvas.width)];
  }
  const { top, bottom, left, right } = zoom ?? wholeViewport(plane, canvas);
  return [cutOf(height, top, bottom, canvas.height), cutOf(width, left, right, canvas.width)];
}

/**
 * Return the elements of a dimension of which a number of pixels shows those from `low` to `high`.
 *
 * They are multiples of the step, so that a canvas that is moved shows the same ones.
 */
export function cutOf(size: number, low: number, high: number, pixels: number, rounded = Math.floor): Cut {
  const step = Math.max(1, rounded((high - low) / Math.max(1, pixels)) || 1);
  const start = Math.floor(Math.min(Math.max(0, low), Math.max(0, size - 1)) / step) * step;
  return { start, stop: Math.max(start, Math.min(size, Math.ceil(high))), step };
}

function gridCut(first: number, count: number, size: number): Cut {
  const start = Math.max(0, Math.min(first, size - 1));
  return { start, stop: Math.min(size, start + count), step: 1 };
}

/** Return the number of elements of a cut. */
export function countOf({ start, stop, step }: Cut): number {
  return Math.max(0, Math.ceil((stop - start) / step));
}

/** Whether the plan takes every element. */
export function isWhole({ shape, cuts }: Plan): boolean {
  return cuts.every((cut, axis) =>
    typeof cut === "number" ? shape[axis] === 1 : cut.start === 0 && cut.stop === shape[axis] && cut.step === 1,
  );
}

/** Whether a part has the shape that the plan takes of its tensor. */
export function isOf({ cuts }: Plan, part: readonly number[]): boolean {
  const counts = cuts.flatMap((cut) => (typeof cut === "number" ? [] : [countOf(cut)]));
  return counts.join() === part.join();
}

/** Return the field `slice` of the view; undefined if the plan takes every element of every dimension. */
export function sliceOf({ shape, cuts }: Plan): (number | (number | null)[])[] | undefined {
  const slice = cuts.map((cut, axis) =>
    typeof cut === "number"
      ? cut
      : [cut.start || null, cut.stop === shape[axis] ? null : cut.stop, cut.step === 1 ? null : cut.step],
  );
  return slice.every((cut) => typeof cut !== "number" && cut.every((bound) => bound === null)) ? undefined : slice;
}

/** Return in words which elements the plan takes. */
export function planText(plan: Plan): string {
  if (isWhole(plan)) {
    return "every element";
  }
  const parts = plan.cuts.map((cut, axis) => {
    if (typeof cut === "number") {
      return `${cut}`;
    }
    const range = cut.start === 0 && cut.stop === plan.shape[axis] ? ":" : `${cut.start}:${cut.stop}`;
    return cut.step === 1 ? range : `${range === ":" ? "::" : `${range}:`}${cut.step}`;
  });
  return `[${parts.join(", ")}]`;
}
