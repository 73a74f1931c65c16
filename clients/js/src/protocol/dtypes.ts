/** Dtypes that travel, with their wire codes and names (spec section 11). All are little-endian. */

import { Code, RequestRefused, UnsupportedDtype } from "../errors.ts";

/** Dtype names in the order of the codes, which start at 1. */
export const DTYPES = [
  "bool",
  "int8",
  "int16",
  "int32",
  "int64",
  "uint8",
  "uint16",
  "uint32",
  "uint64",
  "float16",
  "bfloat16",
  "float32",
  "float64",
  "complex64",
  "complex128",
] as const;

export type Dtype = (typeof DTYPES)[number];

const ITEM_BYTES: Readonly<Record<Dtype, number>> = {
  bool: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  uint16: 2,
  uint32: 4,
  uint64: 8,
  float16: 2,
  bfloat16: 2,
  float32: 4,
  float64: 8,
  complex64: 8,
  complex128: 16,
};

/**
 * Return the dtype of a wire code.
 *
 * @throws RequestRefused `INVALID_TENSOR`, the code is not in the table of spec section 11.
 */
export function dtypeOf(code: number): Dtype {
  const dtype = DTYPES[code - 1];
  if (dtype === undefined) {
    throw new RequestRefused(Code.INVALID_TENSOR, `unknown dtype code ${code}; known are 1 to ${DTYPES.length}`);
  }
  return dtype;
}

/**
 * Return the wire code of a dtype.
 *
 * @throws UnsupportedDtype no dtype that travels has this name.
 */
export function codeOf(dtype: Dtype): number {
  const index = DTYPES.indexOf(dtype);
  if (index < 0) {
    throw new UnsupportedDtype(`tensors of dtype ${dtype} cannot be sent: use one of ${DTYPES.join(", ")}`);
  }
  return index + 1;
}

/** Return the size of one element. */
export function itemBytesOf(dtype: Dtype): number {
  return ITEM_BYTES[dtype];
}
