/** Colours of numbers: 256 steps from the lowest to the highest, as words of RGBA. */

import { InvalidArgument } from "../errors.ts";

const STEPS = 256;

/** Name of a colormap of the client. */
export type ColormapName = "gray" | "viridis" | "magma" | "coolwarm";

/** Name of a colormap, or colours of one's own as `#rrggbb`, from the lowest number to the highest. */
export type Colormap = ColormapName | readonly string[];

/** Colours at equal distances from the lowest to the highest number; others are between their neighbours. */
const STOPS: Readonly<Record<ColormapName, string>> = {
  gray: "000000 ffffff",
  viridis: "440154 482878 3e4a89 31688e 26828e 1f9e89 35b779 6dcd59 b4de2c fde725",
  magma: "000004 180f3e 451077 721f81 9f2f7f cd4071 f1605d fd9567 fec98d fcfdbf",
  coolwarm: "3b4cc0 6788ee 9abbff c9d7f0 edd1c2 f7a889 e26952 b40426",
};

const KNOWN = new Map<string, Uint32Array>();

/**
 * Return the 256 colours of a colormap, each as the word that has the bytes red, green, blue, alpha in memory.
 *
 * @throws InvalidArgument no such colormap, or a colour that is not written as `#rrggbb`.
 */
export function coloursOf(colormap: Colormap): Uint32Array {
  const text = typeof colormap === "string" ? stopsOf(colormap) : colormap.join(" ");
  const known = KNOWN.get(text);
  if (known) {
    return known;
  }
  const stops = text.split(" ");
  if (!text || stops.some((stop) => !/^#?[0-9a-f]{6}$/i.test(stop))) {
    throw new InvalidArgument(
      `${JSON.stringify(colormap)} is no colormap: use one of ${Object.keys(STOPS).join(", ")}, or a list of #rrggbb`,
    );
  }
  const colours = interpolated(stops.map((stop) => Number.parseInt(stop.replace("#", ""), 16)));
  if (typeof colormap === "string") {
    KNOWN.set(text, colours);
  }
  return colours;
}

function stopsOf(name: string): string {
  return Object.hasOwn(STOPS, name) ? STOPS[name as ColormapName] : "";
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
