/** Presentation of a version: the numbers of its plane, and what the page is told of them. Knows no canvas and no stream. */

import type { Element, Tensor } from "@frys/client";
import { exactText, shortText } from "../numbers/exact_text.ts";
import { histogramOf } from "../numbers/histogram.ts";
import { differenceOf, numbersOf, type Plane, planeOf } from "../numbers/plane.ts";
import { statisticsOf } from "../numbers/statistics.ts";
import { hasLogScale, rangeOf, type ValueRange } from "../numbers/value_range.ts";
import type { Grid, Pointed, Shown } from "../posts.ts";
import type { ColourMapName, Mode, Settings, Viewport } from "../settings.ts";
import { wholeViewport } from "../viewport.ts";
import { axesOf, type Cut, fittingMode, isWhole, type Plan, planOf, planText, sliceOf } from "./slicing_plan.ts";
import type { Version } from "./version.ts";

const INTERVALS = 64;
/** Size of a canvas that has room for each element. */
const ENDLESS = { width: 2 ** 53, height: 2 ** 53 };
/** Elements on each side of that under the pointer. */
const AROUND = 2;

/** Version with all that is drawn of it. */
export interface Presented {
  readonly version: Version;
  readonly mode: Mode;
  readonly plan: Plan;
  /** Elements of the plane; of a difference those of the version itself. */
  readonly tensor: Tensor;
  readonly plane: Plane;
  readonly range: ValueRange;
  readonly map: ColourMapName;
  readonly isLog: boolean;
  readonly before: Version | undefined;
}

/** Return what is shown of a version; undefined: it came by a view that does not have it. */
export function presented(version: Version, before: Version | undefined, settings: Settings): Presented | undefined {
  const shape = version.plan?.shape ?? version.tensor.shape;
  const mode = fittingMode(settings.mode, shape, version.tensor.dtype);
  const wanted = planOf(shape, mode, settings, undefined, ENDLESS);
  const plan = version.plan ?? wanted;
  if (plan.meanings.join() !== wanted.meanings.join()) {
    return undefined;
  }
  const tensor = cutTo(version, plan);
  let numbers = numbersOf(tensor, settings.part);
  const subtracted = settings.difference ? subtractable(version, before) : undefined;
  if (subtracted) {
    numbers = differenceOf(numbers, numbersOf(cutTo(subtracted, plan), settings.part));
  }
  const map = subtracted ? "diverging" : settings.map;
  const isLog = settings.scale === "log" && map !== "diverging";
  const range = rangeOf(numbers, settings.range, map, isLog);
  const plane = planeOf(numbers, tensor.shape, plan.meanings);
  return { version, mode, plan, tensor, plane, range, map, isLog: isLog && hasLogScale(range), before: subtracted };
}

function cutTo({ tensor, plan }: Version, wanted: Plan): Tensor {
  const slice = plan ? undefined : sliceOf(wanted);
  return slice ? tensor.slice(...(slice as (number | [number | null, number | null, number | null])[])) : tensor;
}

/** Return a version before, if the same elements of both have come. */
function subtractable(version: Version, before: Version | undefined): Version | undefined {
  const isSame =
    before?.epoch === version.epoch &&
    before.tensor.shape.join() === version.tensor.shape.join() &&
    JSON.stringify(before.plan?.cuts) === JSON.stringify(version.plan?.cuts);
  return isSame ? before : undefined;
}

/** Return the size of the plane of the whole tensor. */
export function planeSize({ plan, mode }: Pick<Presented, "plan" | "mode">): {
  readonly width: number;
  readonly height: number;
} {
  const size = (meaning: string): number => {
    const axis = axesIn(plan)[meaning];
    return axis === undefined ? 1 : plan.shape[axis];
  };
  return { width: size("columns"), height: mode === "line" ? 1 : size("rows") };
}

function axesIn(plan: Plan): Readonly<Record<string, number | undefined>> {
  const left = plan.cuts.flatMap((cut, axis) => (typeof cut === "number" ? [] : [axis]));
  return Object.fromEntries(plan.meanings.map((meaning, index) => [meaning, left[index]]));
}

/** Return the part of the plane on the canvas. */
export function viewportOf(
  found: Presented,
  zoom: Viewport | undefined,
  canvas: { readonly width: number; readonly height: number },
): Viewport {
  const plane = planeSize(found);
  if (found.mode === "line") {
    return zoom ?? { top: 0, bottom: 1, left: 0, right: Math.max(1, plane.width) };
  }
  return zoom ?? wholeViewport(plane, canvas);
}

/** Return what the page is told. */
export function shownOf(found: Presented, settings: Settings, viewport: Viewport): Shown {
  const { version, mode, plan, tensor, plane, range } = found;
  const statistics = statisticsOf(plane.numbers);
  const { least, most } = statistics;
  const axes = axesOf(plan.shape, mode, settings);
  return {
    mode,
    tensor: { name: tensor.name, dtype: tensor.dtype, shape: plan.shape },
    names: version.names,
    offset: version.offset,
    epoch: version.epoch,
    timestampMs: version.timestampMs,
    latencyS: version.latencyS,
    headers: version.headers,
    axes: { rows: axes.rows, columns: axes.columns },
    at: Object.fromEntries(plan.cuts.flatMap((cut, axis) => (typeof cut === "number" ? [[axis, cut]] : []))),
    plane: planeSize(found),
    viewport,
    range,
    hasLogScale: hasLogScale(range),
    taken: planText(plan),
    isWhole: isWhole(plan),
    before: found.before?.offset,
    statistics,
    histogram:
      least !== undefined && most !== undefined ? histogramOf(plane.numbers, least, most, INTERVALS) : undefined,
    grid: mode === "numbers" ? gridOf(found) : undefined,
  };
}

/** Return the cells of the plane as text. */
function gridOf(found: Presented): Grid {
  const { plane, plan } = found;
  const cells = Array.from({ length: plane.rows }, (_row, row) =>
    Array.from({ length: plane.columns }, (_column, column) => elementText(found, row, column)),
  );
  return { row: plan.rows.start, column: plan.columns.start, cells };
}

/** Return the numbers around an element, in few digits; of an image none, for three in a cell have no room. */
function aroundOf({ plane }: Presented, row: number, column: number): readonly (readonly string[])[] {
  if (plane.channels > 1) {
    return [];
  }
  const offsets = Array.from({ length: 2 * AROUND + 1 }, (_, index) => index - AROUND);
  const textAt = (at: number, across: number): string =>
    at >= 0 && at < plane.rows && across >= 0 && across < plane.columns
      ? shortText(Number(plane.numbers[at * plane.rowStride + across * plane.columnStride].toPrecision(4)))
      : "";
  return (plane.rows > 1 ? offsets : [0]).map((down) => offsets.map((across) => textAt(row + down, column + across)));
}

function elementText({ tensor, plane, plan, before }: Presented, row: number, column: number): string {
  const indices = plan.meanings.map((meaning) => (meaning === "rows" ? row : meaning === "columns" ? column : 0));
  if (before) {
    return exactText(plane.numbers[row * plane.rowStride + column * plane.columnStride], "float64");
  }
  if (plan.meanings.includes("channels")) {
    const channels = Array.from({ length: plane.channels }, (_, channel) =>
      exactText(tensor.at(row, column, channel) as Element, tensor.dtype),
    );
    return channels.join(", ");
  }
  return exactText(tensor.at(...indices), tensor.dtype);
}

/** Return the element at a place of the whole plane, as far as it came: otherwise its next neighbour. */
export function pointedOf(found: Presented, [row, column]: readonly [number, number]): Pointed | undefined {
  const { plan, plane } = found;
  const at = placeIn(plan.columns, column);
  const rowAt = plane.rows > 1 || plan.rows.step > 1 ? placeIn(plan.rows, row) : 0;
  if (at < 0 || at >= plane.columns || rowAt < 0 || rowAt >= plane.rows) {
    return undefined;
  }
  const [rows, columns] = [plan.rows.start + rowAt * plan.rows.step, plan.columns.start + at * plan.columns.step];
  const left = plan.meanings.values();
  const index = plan.cuts.map((cut) => {
    if (typeof cut === "number") {
      return cut;
    }
    const meaning = left.next().value;
    return meaning === "rows" ? rows : meaning === "columns" ? columns : 0;
  });
  return {
    index: plan.meanings.includes("channels") ? index.slice(0, -1) : index,
    text: elementText(found, rowAt, at),
    around: aroundOf(found, rowAt, at),
  };
}

function placeIn({ start, step }: Cut, index: number): number {
  return Math.floor((index - start) / step);
}
