/**
 * Pixels of tensors, as a canvas takes them: numbers by a colormap, or the channels of an image as they are.
 *
 * Needs no page: a worker and Node make pixels as well.
 */

import { InvalidArgument } from "../errors.ts";
import { type Colormap, coloursOf } from "./colormap.ts";

/** Colours of numbers, and their range. */
export interface PixelOptions {
  /** `viridis` if absent. */
  readonly colormap?: Colormap;
  /** Number that has the first colour, as have all below; absent: the lowest finite one. */
  readonly low?: number;
  /** Number that has the last colour, as have all above; absent: the highest finite one. */
  readonly high?: number;
}

/** Pixels in rows from the top, four bytes each: red, green, blue, alpha. */
export interface Pixels {
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

/** Elements in row-major order, as a typed array has them. */
export type Numbers = ArrayLike<number> | ArrayLike<bigint>;

/**
 * Return the pixels of numbers.
 *
 * @param shape `[height, width]` for numbers, which get colours, transparent if they are NaN; `[height, width, 3]` or
 *   `[height, width, 4]` for red, green, blue and alpha: bytes as they are, other numbers from 0 to 1.
 * @throws InvalidArgument another shape, or a range from `high` to `low`.
 */
export function pixelsOf(numbers: Numbers, shape: readonly number[], options: PixelOptions = {}): Pixels {
  const [height, width, channels] = shape;
  if (shape.length < 2 || shape.length > 3 || (shape.length === 3 && channels !== 3 && channels !== 4)) {
    throw new InvalidArgument(
      `a tensor of shape [${shape.join(", ")}] is no image: it needs [height, width], or 3 or 4 channels behind them`,
    );
  }
  const data = new Uint8ClampedArray(4 * height * width);
  if (channels) {
    copyChannels(numbers, channels, data);
  } else {
    colour(numbers, options, new Uint32Array(data.buffer));
  }
  return { data, width, height };
}

function copyChannels(numbers: Numbers, channels: number, data: Uint8ClampedArray): void {
  const factor = numbers instanceof Uint8Array ? 1 : 255;
  for (let from = 0, to = 0; to < data.length; to += 4) {
    data[to] = factor * Number(numbers[from++]);
    data[to + 1] = factor * Number(numbers[from++]);
    data[to + 2] = factor * Number(numbers[from++]);
    data[to + 3] = channels === 4 ? factor * Number(numbers[from++]) : 255;
  }
}

function colour(numbers: Numbers, options: PixelOptions, out: Uint32Array): void {
  const colours = coloursOf(options.colormap ?? "viridis");
  const found = options.low === undefined || options.high === undefined ? rangeOf(numbers) : [0, 0];
  const low = options.low ?? Math.min(found[0], options.high ?? found[0]);
  const high = options.high ?? Math.max(found[1], low);
  if (!(low <= high)) {
    throw new InvalidArgument(`colours from ${low} to ${high}: give a low that is not above high`);
  }
  const last = colours.length - 1;
  // Halves, for a range that float64 does not hold; numbers of one value have the first colour.
  const factor = low === high ? 0 : last / (high / 2 - low / 2);
  for (let index = 0; index < out.length; index++) {
    const number = Number(numbers[index]);
    if (number >= high) {
      out[index] = colours[factor ? last : 0];
    } else if (number > low) {
      out[index] = colours[((number / 2 - low / 2) * factor + 0.5) | 0];
    } else if (number <= low) {
      out[index] = colours[0];
    }
  }
}

/** Return the lowest and the highest finite number; 0 twice if there is none. */
function rangeOf(numbers: Numbers): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < numbers.length; index++) {
    const number = Number(numbers[index]);
    if (number < low && number !== Number.NEGATIVE_INFINITY) {
      low = number;
    }
    if (number > high && number !== Number.POSITIVE_INFINITY) {
      high = number;
    }
  }
  return low <= high ? [low, high] : [0, 0];
}
