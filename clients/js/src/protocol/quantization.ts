/** Numbers that the integers of a quantized view stand for (spec section 4.5). */

import { Code, RequestRefused } from "../errors.ts";
import { type Dtype, dtypeOf } from "./dtypes.ts";
import type { Quantization } from "./extensions.ts";
import { toBfloat16, toFloat16 } from "./narrowing.ts";
import { Tensor, type TypedArray } from "./tensors.ts";

type Convert = (numbers: Float64Array) => ArrayBufferView;

/** The next float64 above these is too large for the dtype. */
const LARGEST_INT64 = 2 ** 63 - 1024;
const LARGEST_UINT64 = 2 ** 64 - 2048;

const CONVERT: Readonly<Partial<Record<Dtype, Convert>>> = {
  int8: (numbers) => Int8Array.from(numbers, wholeWithin(-(2 ** 7), 2 ** 7 - 1)),
  int16: (numbers) => Int16Array.from(numbers, wholeWithin(-(2 ** 15), 2 ** 15 - 1)),
  int32: (numbers) => Int32Array.from(numbers, wholeWithin(-(2 ** 31), 2 ** 31 - 1)),
  int64: (numbers) => bigintsOf(numbers, new BigInt64Array(numbers.length), -(2 ** 63), LARGEST_INT64),
  uint8: (numbers) => Uint8Array.from(numbers, wholeWithin(0, 2 ** 8 - 1)),
  uint16: (numbers) => Uint16Array.from(numbers, wholeWithin(0, 2 ** 16 - 1)),
  uint32: (numbers) => Uint32Array.from(numbers, wholeWithin(0, 2 ** 32 - 1)),
  uint64: (numbers) => bigintsOf(numbers, new BigUint64Array(numbers.length), 0, LARGEST_UINT64),
  float16: toFloat16,
  bfloat16: toBfloat16,
  float32: (numbers) => Float32Array.from(numbers),
  float64: (numbers) => numbers,
};

/**
 * Restore the numbers that quantized ones stand for, in the dtype of the stream's tensor: `(q - zero_point) * scale`, for
 * integers rounded.
 *
 * @param tensor tensor of the view.
 * @param quantization relation that came with the message.
 * @throws RequestRefused `INVALID_TENSOR`, dtypes between which there is no such relation.
 */
export function dequantize(tensor: Tensor, quantization: Quantization): Tensor {
  const { name, shape } = tensor;
  const dtype = dtypeOf(quantization.dtype_code);
  const convert = CONVERT[dtype];
  if (!convert || tensor.dtype.startsWith("complex")) {
    throw new RequestRefused(Code.INVALID_TENSOR, `numbers of ${tensor.dtype} cannot stand for numbers of ${dtype}`);
  }
  return Tensor.from(convert(restored(tensor.data, quantization)), shape, { name, dtype });
}

function restored(integers: TypedArray, { scale, zero_point }: Quantization): Float64Array {
  const numbers = new Float64Array(integers.length);
  for (let index = 0; index < numbers.length; index++) {
    const number = (Number(integers[index]) - zero_point) * scale;
    // The largest float64 may have become infinite.
    numbers[index] = Math.min(Math.max(number, -Number.MAX_VALUE), Number.MAX_VALUE);
  }
  return numbers;
}

/** Return a function that rounds as IEEE 754 does, to even numbers from the middle, and stays within bounds. */
function wholeWithin(low: number, high: number): (number: number) => number {
  return (number) => {
    const rounded = Math.round(number);
    const whole = Math.abs(number % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
    return Math.min(Math.max(whole, low), high);
  };
}

function bigintsOf<A extends BigInt64Array | BigUint64Array>(
  numbers: Float64Array,
  out: A,
  low: number,
  high: number,
): A {
  const whole = wholeWithin(low, high);
  for (let index = 0; index < out.length; index++) {
    out[index] = BigInt(whole(numbers[index]) || 0);
  }
  return out;
}
