/** Colours of numbers: 256 steps, readable with every kind of colour blindness, as words of RGBA in memory. */

import type { ColourMapName } from "../settings.ts";
import type { Plane } from "./plane.ts";
import { hasLogScale, type ValueRange } from "./value_range.ts";

const STEPS = 256;
/** Colour of NaN, which no map has. */
export const NAN_COLOUR = "#e6007e";

/** Colours at equal distances; others lie between their neighbours. The diverging one goes from blue by white to orange. */
const STOPS: Readonly<Record<ColourMapName, string>> = {
  viridis: "440154 482878 3e4a89 31688e 26828e 1f9e89 35b779 6dcd59 b4de2c fde725",
  diverging: "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b35806 7f3b08",
  gray: "000000 ffffff",
};

const KNOWN = new Map<ColourMapName, Uint32Array>();

/** Return the colours of a map from the lowest number to the highest. */
export function coloursOf(map: ColourMapName): Uint32Array {
  let colours = KNOWN.get(map);
  if (!colours) {
    colours = interpolated(STOPS[map].split(" ").map((stop) => Number.parseInt(stop, 16)));
    KNOWN.set(map, colours);
  }
  return colours;
}

/** Return the word of a colour that is written as `#rrggbb`. */
export function wordOf(colour: string): number {
  const bytes = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return new Uint32Array(Uint8Array.of(...bytes, 255).buffer)[0];
}

function interpolated(stops: readonly number[]): Uint32Array {
  const colours = new Uint8ClampedArray(4 * STEPS);
  for (let step = 0; step < STEPS; step++) {
    const place = (step / (STEPS - 1)) * (stops.length - 1);
    const low = Math.floor(place);
    const high = Math.min(low + 1, stops.length - 1);
    for (let channel = 0; channel < 3; channel++) {
      const shift = 16 - 8 * channel;
      const from = (stops[low] >>> shift) & 255;
      const to = (stops[high] >>> shift) & 255;
      colours[4 * step + channel] = from + (to - from) * (place - low);
    }
    colours[4 * step + 3] = 255;
  }
  return new Uint32Array(colours.buffer);
}

/**
 * Write the colours of a plane, row after row.
 *
 * @param isLog whether equal factors are equal distances; without effect on a range that reaches zero.
 */
export function colourPlane(
  plane: Plane,
  range: ValueRange,
  map: ColourMapName,
  isLog: boolean,
  out: Uint32Array,
): void {
  const { numbers, rows, columns, rowStride, columnStride } = plane;
  const colours = coloursOf(map);
  const { low, high } = range;
  const isEqual = low === high; // a single value has the colour in the middle
  const ends = { low: isEqual ? colours[STEPS >> 1] : colours[0], high: colours[isEqual ? STEPS >> 1 : STEPS - 1] };
  const nan = wordOf(NAN_COLOUR);
  const place = isLog && hasLogScale(range) ? logPlace(range) : linearPlace(range);
  for (let row = 0, to = 0; row < rows; row++) {
    for (let column = 0, from = row * rowStride; column < columns; column++, from += columnStride, to++) {
      const number = numbers[from];
      out[to] =
        number > low && number < high
          ? colours[place(number)]
          : number >= high
            ? ends.high
            : number <= low
              ? ends.low
              : nan;
    }
  }
}

function linearPlace({ low, high }: ValueRange): (number: number) => number {
  const factor = (STEPS - 1) / (high / 2 - low / 2); // halves, for a range that float64 does not hold
  return (number) => ((number / 2 - low / 2) * factor + 0.5) | 0;
}

function logPlace({ low, high }: ValueRange): (number: number) => number {
  const start = Math.log(low);
  const factor = (STEPS - 1) / (Math.log(high) - start);
  return (number) => ((Math.log(number) - start) * factor + 0.5) | 0;
}

/** Write the pixels of an image: bytes as they are, other numbers from 0 to 1. */
export function colourImage(plane: Plane, isBytes: boolean, out: Uint8ClampedArray): void {
  const { numbers, rows, columns, rowStride, columnStride, channels } = plane;
  const factor = isBytes ? 1 : 255;
  for (let row = 0, to = 0; row < rows; row++) {
    for (let column = 0, from = row * rowStride; column < columns; column++, from += columnStride, to += 4) {
      out[to] = factor * numbers[from];
      out[to + 1] = factor * numbers[from + 1];
      out[to + 2] = factor * numbers[from + 2];
      out[to + 3] = channels === 4 ? factor * numbers[from + 3] : 255;
    }
  }
}
