/** Files of `numpy.save`, of a tensor that the page has. */

import type { Dtype, Tensor } from "@frys/client";

/** Names of dtypes in the header; bfloat16 has none, and is what `numpy.save` makes of it. */
const NAMES: Readonly<Record<Dtype, string>> = {
  bool: "|b1",
  int8: "|i1",
  int16: "<i2",
  int32: "<i4",
  int64: "<i8",
  uint8: "|u1",
  uint16: "<u2",
  uint32: "<u4",
  uint64: "<u8",
  float16: "<f2",
  bfloat16: "<V2",
  float32: "<f4",
  float64: "<f8",
  complex64: "<c8",
  complex128: "<c16",
};
const MAGIC = "\x93NUMPY\x01\x00";
const ALIGNMENT = 64;

/** Return the head and the body of the file. */
export function npyFile(tensor: Pick<Tensor, "dtype" | "shape" | "bytes">): Uint8Array<ArrayBuffer>[] {
  const { dtype, shape, bytes } = tensor;
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const fields = `{'descr': '${NAMES[dtype]}', 'fortran_order': False, 'shape': (${dimensions}), }`;
  const start = MAGIC.length + 2;
  const length = Math.ceil((start + fields.length + 1) / ALIGNMENT) * ALIGNMENT - start;
  const text = `${MAGIC}${String.fromCharCode(length & 255, length >> 8)}${fields.padEnd(length - 1)}\n`;
  return [Uint8Array.from(text, (letter) => letter.charCodeAt(0)), bytes.slice()];
}
