/** Plane of numbers: the elements of a tensor that are drawn or counted, whatever its dtype. */

import type { Tensor } from "@frys/client";
import type { ComplexPart } from "../settings.ts";

/** Elements as JavaScript calculates with them; those of 64-bit integers are rounded to float64. */
export type Numbers =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;

/** Rows and columns of numbers, with the distances of neighbours in memory. */
export interface Plane {
  readonly numbers: Numbers;
  readonly rows: number;
  readonly columns: number;
  readonly rowStride: number;
  readonly columnStride: number;
  /** Colours of each element, side by side: 3 or 4 of an image, 1 otherwise. */
  readonly channels: number;
}

/** Return the numbers of a tensor, one for each element. */
export function numbersOf(tensor: Tensor, part: ComplexPart): Numbers {
  const { data, dtype } = tensor;
  if (dtype === "complex64" || dtype === "complex128") {
    return complexNumbers(data as Float32Array | Float64Array, part);
  }
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return Float64Array.from(data, Number);
  }
  // Float16Array reads several times slower than what its numbers are converted to.
  return dtype === "float16" && !(data instanceof Float32Array) ? Float32Array.from(data) : (data as Numbers);
}

function complexNumbers(pairs: Float32Array | Float64Array, part: ComplexPart): Float64Array {
  const numbers = new Float64Array(pairs.length / 2);
  for (let index = 0; index < numbers.length; index++) {
    const real = pairs[2 * index];
    const imaginary = pairs[2 * index + 1];
    numbers[index] =
      part === "real"
        ? real
        : part === "imaginary"
          ? imaginary
          : part === "phase"
            ? Math.atan2(imaginary, real)
            : Math.hypot(real, imaginary);
  }
  return numbers;
}

/** Return what numbers have grown by since a version before, of the same length. */
export function differenceOf(numbers: Numbers, before: Numbers): Float64Array {
  const found = new Float64Array(numbers.length);
  for (let index = 0; index < found.length; index++) {
    found[index] = numbers[index] - before[index];
  }
  return found;
}

/**
 * Return the plane of a tensor that has been cut to it.
 *
 * @param shape dimensions that are left, one for each of `axes`, in the order of the tensor.
 * @param axes meaning of each of them.
 */
export function planeOf(
  numbers: Numbers,
  shape: readonly number[],
  axes: readonly ("rows" | "columns" | "channels")[],
): Plane {
  const found = { rows: 1, columns: 1, channels: 1, rowStride: 0, columnStride: 0 };
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const meaning = axes[axis];
    found[meaning] = shape[axis];
    if (meaning === "rows") {
      found.rowStride = stride;
    } else if (meaning === "columns") {
      found.columnStride = stride;
    }
    stride *= shape[axis];
  }
  return { numbers, ...found };
}
