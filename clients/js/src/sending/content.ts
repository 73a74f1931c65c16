/** Content of a message that is to be sent: meta block and payload, copied from the program's memory at the call. */

import { InvalidArgument } from "../errors.ts";
import { bytesOf, joined } from "../protocol/buffers.ts";
import { type Dtype, itemBytesOf } from "../protocol/dtypes.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import { type TensorSpec, writeMeta } from "../protocol/meta.ts";
import { payloadOf, Tensor } from "../protocol/tensors.ts";

/** Array that can be sent: a tensor, or a typed array. */
export type ArrayValue = Tensor | ArrayBufferView;

/** Value of a message: one array (the unnamed tensor), arrays by name, or nothing. */
export type Value = ArrayValue | Readonly<Record<string, ArrayValue>> | null;

/** Description of a typed array; a {@link Tensor} has its own. */
export interface ArrayOptions {
  /** Dimensions; absent: one, of all elements. */
  readonly shape?: readonly number[] | undefined;
  /** Dtype that the array does not tell: bool, float16, bfloat16 and complex dtypes. */
  readonly dtype?: Dtype | undefined;
}

export interface Content {
  readonly specs: readonly TensorSpec[];
  readonly headers: JsonObject | null;
  readonly meta: Uint8Array;
  readonly payload: Uint8Array;
  /** Bytes of an element; 1 if tensors differ in that. */
  readonly itemBytes: number;
}

/**
 * Return the content of a message. The program may change its memory afterwards.
 *
 * @throws UnsupportedDtype an array that cannot travel.
 * @throws InvalidArgument a shape, name or header that cannot travel.
 */
export function contentOf(value: Value, headers: JsonObject | null = null, options: ArrayOptions = {}): Content {
  const tensors = tensorsIn(value, options);
  const sizes = new Set(tensors.map(({ dtype }) => itemBytesOf(dtype)));
  const [itemBytes = 1] = sizes;
  return {
    specs: tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    headers,
    meta: writeMeta(tensors, headers),
    payload: joined(payloadOf(tensors)),
    itemBytes: sizes.size === 1 ? itemBytes : 1,
  };
}

function tensorsIn(value: Value, options: ArrayOptions): Tensor[] {
  if (value === null || value === undefined) {
    return [];
  }
  if (isArray(value)) {
    return [tensorOf(value, "", options)];
  }
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new InvalidArgument("a value is a typed array, a Tensor, an object of these by name, or null");
  }
  if (options.shape || options.dtype) {
    throw new InvalidArgument("shape and dtype describe one typed array: give named ones as Tensor.from(array, shape)");
  }
  return Object.entries(value).map(([name, array]) => tensorOf(array, name, {}));
}

function isArray(value: unknown): value is ArrayValue {
  return value instanceof Tensor || ArrayBuffer.isView(value);
}

function tensorOf(array: ArrayValue, name: string, { shape, dtype }: ArrayOptions): Tensor {
  if (!isArray(array)) {
    throw new InvalidArgument(`tensor '${name}' is neither a typed array nor a Tensor`);
  }
  if (array instanceof Tensor) {
    if (shape || dtype) {
      throw new InvalidArgument("a Tensor has its own shape and dtype: leave the options out");
    }
    return new Tensor({ name: name || array.name, dtype: array.dtype, shape: array.shape }, array.bytes);
  }
  return Tensor.from(array, shape, { name, ...(dtype && { dtype }) });
}

/** Memory that each message takes beside its bytes. */
const OVERHEAD_BYTES = 256;

/** Return the memory that a message holds while it waits. */
export function heldBytesOf({ meta, payload }: Content): number {
  return bytesOf([meta, payload]) + OVERHEAD_BYTES;
}
