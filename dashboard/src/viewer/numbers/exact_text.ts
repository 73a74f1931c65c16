/** Elements as text: all digits that their dtype holds, and none that it does not. */

import type { Dtype, Element } from "@frys/client";

/** Significant digits from which on a number of the dtype may be told from its neighbours, and always is. */
const DIGITS: Readonly<Partial<Record<Dtype, readonly [least: number, most: number]>>> = {
  float16: [1, 5],
  bfloat16: [1, 4],
  float32: [1, 9],
  complex64: [1, 9],
};

const SCRATCH = new DataView(new ArrayBuffer(4));

/** Return an element with its full precision; 0.1 of float32 is "0.1", not the float64 nearest to it. */
export function exactText(element: Element, dtype: Dtype): string {
  if (typeof element === "object") {
    const [real, imaginary] = element;
    const sign = imaginary < 0 || Object.is(imaginary, -0) ? "−" : "+";
    return `${floatText(real, dtype)} ${sign} ${floatText(Math.abs(imaginary), dtype)}i`;
  }
  return typeof element === "number" ? floatText(element, dtype) : signed(`${element}`);
}

function floatText(number: number, dtype: Dtype): string {
  if (!Number.isFinite(number)) {
    return Number.isNaN(number) ? "NaN" : number > 0 ? "∞" : "−∞";
  }
  const text = Object.is(number, -0) ? "-0" : shortest(number, dtype);
  return signed(text);
}

function signed(text: string): string {
  return text.replace("-", "−").replace("e-", "e−").replace("e+", "e");
}

function shortest(number: number, dtype: Dtype): string {
  const [least, most] = DIGITS[dtype] ?? [0, 0];
  for (let digits = least; digits && digits <= most; digits++) {
    const text = number.toPrecision(digits);
    if (nearest(Number(text), dtype) === number) {
      return `${Number(text)}`;
    }
  }
  return `${number}`;
}

/** Return the number of the dtype that is nearest to a number. */
function nearest(number: number, dtype: Dtype): number {
  if (dtype === "bfloat16") {
    SCRATCH.setFloat32(0, number);
    const bits = SCRATCH.getUint32(0);
    SCRATCH.setUint32(0, (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff_0000);
    return SCRATCH.getFloat32(0);
  }
  return dtype === "float16" ? nearestFloat16(number) : Math.fround(number);
}

function nearestFloat16(number: number): number {
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(number) || 1)), -14);
  const unit = 2 ** (exponent - 10);
  const scaled = number / unit;
  const rounded = Math.round(scaled);
  const even = Math.abs(scaled % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
  return even * unit;
}

/**
 * Return a number with some five digits, for labels.
 *
 * @param span size of the numbers beside it: one that is 0 but for a thousandth of that is 0.
 */
export function shortText(number: number | undefined, span = 0): string {
  if (number === undefined || !Number.isFinite(number)) {
    return number === undefined ? "–" : floatText(number, "float64");
  }
  const size = Math.abs(number);
  if (size < span / 1000) {
    return "0";
  }
  const text =
    size !== 0 && (size < 1e-4 || size >= 1e6) ? number.toExponential(3) : `${Number(number.toPrecision(5))}`;
  return signed(text);
}
