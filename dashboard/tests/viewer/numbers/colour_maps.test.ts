import { expect, test } from "vitest";
import { colourImage, colourPlane, coloursOf, NAN_COLOUR, wordOf } from "../../../src/viewer/numbers/colour_maps.ts";
import type { Numbers, Plane } from "../../../src/viewer/numbers/plane.ts";
import { COLOUR_MAPS } from "../../../src/viewer/settings.ts";

function planeOf(numbers: Numbers, rows: number, columns: number): Plane {
  return { numbers, rows, columns, rowStride: columns, columnStride: 1, channels: 1 };
}

function lightness(word: number): number {
  const [red, green, blue] = new Uint8Array(Uint32Array.of(word).buffer);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

test("every map has 256 opaque colours; the ends of viridis are those of its makers", () => {
  for (const map of COLOUR_MAPS) {
    expect(coloursOf(map).length).toBe(256);
  }
  expect(coloursOf("viridis")[0]).toBe(wordOf("#440154"));
  expect(coloursOf("viridis")[255]).toBe(wordOf("#fde725"));
});

test("maps are read by lightness alone: it grows, or falls from the middle to both ends", () => {
  const of = (map: (typeof COLOUR_MAPS)[number]): number[] => Array.from(coloursOf(map), lightness);
  const grows = (values: number[]): boolean => values.every((value, at) => at === 0 || value >= values[at - 1] - 0.5);
  expect(grows(of("viridis"))).toBe(true);
  expect(grows(of("diverging").slice(0, 128))).toBe(true);
  expect(grows(of("diverging").slice(128).reverse())).toBe(true);
});

test("numbers have the colour of their place; those beyond the range that of its end; NaN its own", () => {
  const numbers = Float32Array.of(-9, 0, 0.5, 1, 9, Number.NaN);
  const out = new Uint32Array(6);
  colourPlane(planeOf(numbers, 2, 3), { low: 0, high: 1 }, "gray", false, out);
  const gray = coloursOf("gray");
  expect([...out]).toEqual([gray[0], gray[0], gray[128], gray[255], gray[255], wordOf(NAN_COLOUR)]);
});

test("equal factors are equal distances of a logarithmic scale, and nothing is below it", () => {
  const out = new Uint32Array(4);
  colourPlane(planeOf(Float64Array.of(1, 10, 100, -1), 1, 4), { low: 1, high: 100 }, "gray", true, out);
  const gray = coloursOf("gray");
  expect([...out]).toEqual([gray[0], gray[128], gray[255], gray[0]]);
});

test("a single value has the colour in the middle, and the widest range has colours", () => {
  const out = new Uint32Array(2);
  colourPlane(planeOf(Float32Array.of(3, 3), 1, 2), { low: 3, high: 3 }, "viridis", false, out);
  expect(out[0]).toBe(coloursOf("viridis")[128]);
  const most = Number.MAX_VALUE;
  colourPlane(planeOf(Float64Array.of(0, most), 1, 2), { low: -most, high: most }, "gray", false, out);
  expect([...out]).toEqual([coloursOf("gray")[128], coloursOf("gray")[255]]);
});

test("a plane may lie across the memory", () => {
  const out = new Uint32Array(4);
  const plane = {
    numbers: Uint8Array.of(0, 85, 170, 255),
    rows: 2,
    columns: 2,
    rowStride: 1,
    columnStride: 2,
    channels: 1,
  };
  colourPlane(plane, { low: 0, high: 255 }, "gray", false, out);
  const gray = coloursOf("gray");
  expect([...out]).toEqual([gray[0], gray[170], gray[85], gray[255]]);
});

test("channels are copied: bytes as they are, other numbers from 0 to 1", () => {
  const out = new Uint8ClampedArray(8);
  const plane = { ...planeOf(Uint8Array.of(1, 2, 3, 4, 5, 6), 1, 2), rowStride: 6, columnStride: 3, channels: 3 };
  colourImage(plane, true, out);
  expect([...out]).toEqual([1, 2, 3, 255, 4, 5, 6, 255]);
  const floats = { ...planeOf(Float32Array.of(0, 0.5, 1, 2), 1, 1), rowStride: 4, columnStride: 4, channels: 4 };
  const one = new Uint8ClampedArray(4);
  colourImage(floats, false, one);
  expect([...one]).toEqual([0, 128, 255, 255]);
});
