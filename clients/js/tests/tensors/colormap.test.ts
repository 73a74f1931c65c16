import { expect, test } from "vitest";
import { InvalidArgument } from "../../src/errors.ts";
import { type Colormap, coloursOf } from "../../src/tensors/colormap.ts";

function bytesOf(colormap: Colormap, step: number): number[] {
  return [...new Uint8Array(coloursOf(colormap).buffer, 4 * step, 4)];
}

test("a colormap goes from its first colour to its last", () => {
  expect(coloursOf("viridis")).toHaveLength(256);
  expect([bytesOf("viridis", 0), bytesOf("viridis", 255)]).toEqual([
    [0x44, 0x01, 0x54, 255],
    [0xfd, 0xe7, 0x25, 255],
  ]);
  expect(bytesOf("gray", 100)).toEqual([100, 100, 100, 255]);
  expect(coloursOf("gray")).toBe(coloursOf("gray"));
});

test("colours of one's own are stops at equal distances", () => {
  const traffic = ["#ff0000", "#ffFF00", "#00ff00"];
  expect([0, 255].map((step) => bytesOf(traffic, step))).toEqual([
    [255, 0, 0, 255],
    [0, 255, 0, 255],
  ]);
  expect(bytesOf(traffic, 64).slice(0, 3)).toEqual([255, 128, 0]);
  expect(bytesOf(["#010203"], 77)).toEqual([1, 2, 3, 255]);
});

test("other colormaps are refused", () => {
  for (const colormap of ["jet" as "gray", "constructor" as "gray", [], ["red"], ["#ff00000"]]) {
    expect(() => coloursOf(colormap)).toThrow(InvalidArgument);
  }
});
