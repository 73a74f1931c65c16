/** Drawing of line plots: rows of a plane as series over the index of their elements. */

import { shortText } from "../numbers/exact_text.ts";
import type { Plane } from "../numbers/plane.ts";
import { ticksOf } from "../numbers/ticks.ts";
import type { ValueRange } from "../numbers/value_range.ts";
import type { Theme } from "../posts.ts";
import type { Viewport } from "../settings.ts";
import { PLOT_MARGIN as MARGIN } from "../viewport.ts";
import type { Context } from "./drawing_heat.ts";
import type { CanvasSize, Plan } from "./slicing_plan.ts";

const TICK_DISTANCE = { x: 110, y: 48 };
/** Points below which each has a dot. */
const DOTS = 60;

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export function drawLines(
  context: Context,
  size: CanvasSize,
  ratio: number,
  plane: Plane,
  plan: Pick<Plan, "rows" | "columns">,
  viewport: Viewport,
  range: ValueRange,
  isLog: boolean,
  theme: Theme,
): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = theme.ground;
  context.fillRect(0, 0, size.width, size.height);
  const box: Box = {
    left: MARGIN.left * ratio,
    right: size.width - MARGIN.right * ratio,
    top: MARGIN.top * ratio,
    bottom: size.height - MARGIN.bottom * ratio,
  };
  const shown = widened(range);
  const scale = isLog ? Math.log10 : (number: number): number => number;
  const [low, high] = [scale(shown.low), scale(shown.high)];
  const yOf = (number: number): number => box.bottom - ((scale(number) - low) / (high - low)) * (box.bottom - box.top);
  const xOf = (index: number): number =>
    box.left + ((index - viewport.left) / (viewport.right - viewport.left)) * (box.right - box.left);
  drawAxes(context, box, ratio, { low, high }, isLog, viewport, xOf, theme);
  context.save();
  context.beginPath();
  context.rect(box.left, 0, box.right - box.left, size.height);
  context.clip();
  for (let row = 0; row < plane.rows; row++) {
    drawSeries(context, plane, row, plan, xOf, yOf, theme.series[row % theme.series.length], ratio);
  }
  context.restore();
  if (plane.rows > 1) {
    drawKey(context, box, ratio, plane.rows, plan, theme);
  }
}

/** Return a range of some height, also of equal numbers. */
function widened({ low, high }: ValueRange): ValueRange {
  const room = (high - low) * 0.04 || Math.abs(low) * 0.1 || 1;
  return high > low && low > 0
    ? { low: Math.max(low - room, low / 2), high: high + room }
    : { low: low - room, high: high + room };
}

function drawAxes(
  context: Context,
  box: Box,
  ratio: number,
  { low, high }: ValueRange,
  isLog: boolean,
  viewport: Viewport,
  xOf: (index: number) => number,
  theme: Theme,
): void {
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.fillStyle = theme.muted;
  context.strokeStyle = theme.line;
  context.lineWidth = ratio;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.beginPath();
  for (const tick of ticksOf(low, high, (box.bottom - box.top) / (TICK_DISTANCE.y * ratio))) {
    const y = Math.round(box.bottom - ((tick - low) / (high - low)) * (box.bottom - box.top)) + 0.5;
    context.moveTo(box.left, y);
    context.lineTo(box.right, y);
    context.fillText(shortText(isLog ? 10 ** tick : tick), box.left - 8 * ratio, y);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  const wanted = (box.right - box.left) / (TICK_DISTANCE.x * ratio);
  for (const tick of ticksOf(viewport.left, viewport.right, wanted).filter(Number.isInteger)) {
    const x = Math.round(xOf(tick + 0.5)) + 0.5;
    if (x >= box.left && x <= box.right) {
      context.moveTo(x, box.bottom);
      context.lineTo(x, box.bottom + 4 * ratio);
      context.fillText(tick.toLocaleString("en"), x, box.bottom + 8 * ratio);
    }
  }
  context.stroke();
}

function drawSeries(
  context: Context,
  plane: Plane,
  row: number,
  { columns }: Pick<Plan, "columns">,
  xOf: (index: number) => number,
  yOf: (number: number) => number,
  colour: string,
  ratio: number,
): void {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.5 * ratio;
  context.lineJoin = "round";
  context.beginPath();
  let isDrawing = false;
  const dots: [number, number][] = [];
  for (let column = 0; column < plane.columns; column++) {
    const y = yOf(plane.numbers[row * plane.rowStride + column * plane.columnStride]);
    if (!Number.isFinite(y)) {
      isDrawing = false; // NaN and infinite numbers are gaps
      continue;
    }
    const x = xOf(columns.start + column * columns.step + 0.5);
    context[isDrawing ? "lineTo" : "moveTo"](x, y);
    isDrawing = true;
    dots.push([x, y]);
  }
  context.stroke();
  if (plane.columns <= DOTS) {
    for (const [x, y] of dots) {
      context.beginPath();
      context.arc(x, y, 2.5 * ratio, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

function drawKey(
  context: Context,
  box: Box,
  ratio: number,
  rows: number,
  plan: Pick<Plan, "rows">,
  theme: Theme,
): void {
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  for (let row = 0; row < rows; row++) {
    const y = box.top + (8 + 16 * row) * ratio;
    context.fillStyle = theme.series[row % theme.series.length];
    context.fillRect(box.right - 18 * ratio, y - ratio, 14 * ratio, 2 * ratio);
    context.fillStyle = theme.text;
    context.fillText(`row ${plan.rows.start + row * plan.rows.step}`, box.right - 24 * ratio, y);
  }
}
