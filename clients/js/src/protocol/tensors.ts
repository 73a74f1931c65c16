/**
 * Tensors as typed arrays over the received buffer, without a copy if the engine has an array of the dtype (spec section 5.1).
 *
 * Knows memory layout; does not know frames, streams or codecs. Typed arrays have the byte order of the machine: the wire is
 * little-endian, as is every machine on which browsers and Node run today.
 */

import { Code, InvalidArgument, RequestRefused, UnsupportedDtype, UsageError } from "../errors.ts";
import { type Nested, nested } from "../tensors/nesting.ts";
import { unpinned } from "../tensors/ownership.ts";
import { type PixelOptions, type Pixels, pixelsOf } from "../tensors/pixels.ts";
import { type Cut, sliced } from "../tensors/slicing.ts";
import { withPadding } from "./buffers.ts";
import { type Dtype, itemBytesOf } from "./dtypes.ts";
import { elementsOf, payloadLayout, type TensorSpec } from "./meta.ts";
import { fromBfloat16, fromFloat16 } from "./narrow_floats.ts";
import { EXACT_MAX } from "./wire.ts";

/** Array by which the elements of each dtype are read. */
export interface ArrayOf {
  /** 0 or 1. */
  bool: Uint8Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint16: Uint16Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
  /** `Float16Array` where the engine has it; otherwise a converted copy. */
  float16: Float16Array | Float32Array;
  /** A converted copy. */
  bfloat16: Float32Array;
  float32: Float32Array;
  float64: Float64Array;
  /** Real and imaginary part of each number in turn. */
  complex64: Float32Array;
  /** Real and imaginary part of each number in turn. */
  complex128: Float64Array;
}

export type TypedArray = ArrayOf[Dtype];

/** One element: `boolean` of bool, `bigint` of int64 and uint64, a pair of complex dtypes, `number` of all others. */
export type Element = number | bigint | boolean | readonly [real: number, imaginary: number];

type ArrayType = { new (buffer: ArrayBufferLike, at: number, length: number): TypedArray } & {
  readonly BYTES_PER_ELEMENT: number;
  readonly name: string;
};

/** Arrays over the received memory; those of complex numbers have two elements for each. */
const ARRAYS: Readonly<Partial<Record<Dtype, ArrayType>>> = {
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
};
/** Dtypes whose arrays are those of another one. */
const READ_AS: Readonly<Partial<Record<Dtype, Dtype>>> = { bool: "uint8", complex64: "float32", complex128: "float64" };

/** Dtypes that arrays have by themselves, by the name of the array; the others are named. */
const NATURAL = new Map<string, Dtype>([
  ...(Object.entries(ARRAYS) as [Dtype, ArrayType][]).map(([dtype, { name }]): [string, Dtype] => [name, dtype]),
  ["Uint8ClampedArray", "uint8"],
  ["Float16Array", "float16"],
]);

function viewOfBytes(dtype: Dtype, { buffer, byteOffset, byteLength }: Uint8Array): TypedArray {
  const engine: { readonly Float16Array?: ArrayType } = globalThis; // which may not have it
  const found = dtype === "float16" ? engine.Float16Array : ARRAYS[READ_AS[dtype] ?? dtype];
  if (found) {
    return new found(buffer, byteOffset, byteLength / found.BYTES_PER_ELEMENT);
  }
  const bits = new Uint16Array(buffer, byteOffset, byteLength / 2);
  return dtype === "float16" ? fromFloat16(bits) : fromBfloat16(bits);
}

/** A tensor: bytes with name, dtype and shape. It keeps the whole message in which it came, unless it is small. */
export class Tensor<D extends Dtype = Dtype> {
  /** Name, unique in the message; empty for the unnamed tensor. */
  readonly name: string;
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Bytes of the tensor in row-major order: a view of the received buffer, or of memory of its own after decoding. */
  readonly bytes: Uint8Array;
  #data: TypedArray | undefined;

  constructor(spec: TensorSpec & { readonly dtype: D }, bytes: Uint8Array) {
    this.name = spec.name;
    this.dtype = spec.dtype;
    this.shape = spec.shape;
    this.bytes = bytes;
  }

  /**
   * Return a tensor over an array that the program has; no copy.
   *
   * @param array elements in row-major order.
   * @param shape dimensions; absent: one, of all elements.
   * @param options `dtype` for bool (`Uint8Array`), float16 and bfloat16 (`Uint16Array` of their bits) and complex dtypes (real
   *   and imaginary part in turn).
   * @throws InvalidArgument the array does not fill the shape.
   * @throws UnsupportedDtype an array that cannot travel.
   */
  static from(
    array: ArrayBufferView,
    shape?: readonly number[],
    options: { readonly name?: string; readonly dtype?: Dtype } = {},
  ): Tensor {
    const dtype = options.dtype ?? NATURAL.get(array.constructor.name);
    if (!dtype) {
      throw new UnsupportedDtype(`a ${array.constructor.name} cannot be sent: give a typed array, or name its dtype`);
    }
    const itemBytes = itemBytesOf(dtype);
    const dimensions = shape ?? [array.byteLength / itemBytes];
    if (elementsOf(dimensions) * itemBytes !== array.byteLength) {
      throw new InvalidArgument(
        `${array.byteLength} bytes do not fill shape [${dimensions.join(", ")}] of ${dtype}, ${itemBytes} bytes each`,
      );
    }
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    return new Tensor({ name: options.name ?? "", dtype, shape: dimensions }, bytes);
  }

  /** Number of elements. */
  get size(): number {
    return elementsOf(this.shape);
  }

  /** Distance, in elements, of two neighbours in each dimension. */
  get strides(): readonly number[] {
    return this.shape.map((_, axis) => elementsOf(this.shape.slice(axis + 1)));
  }

  /** Elements in row-major order, by {@link ArrayOf}; where that says copy, it is made at the first access. */
  get data(): ArrayOf[D] {
    this.#data ??= this.#view();
    return this.#data as ArrayOf[D];
  }

  /**
   * Bits of float16 and bfloat16, without a copy.
   *
   * @throws UsageError the tensor has another dtype.
   */
  get bits(): Uint16Array {
    if (this.dtype !== "float16" && this.dtype !== "bfloat16") {
      throw new UsageError(`a tensor of ${this.dtype} has no bits of 16: read data or bytes`);
    }
    const { buffer, byteOffset, byteLength } = placed(this.bytes, 2);
    return new Uint16Array(buffer, byteOffset, byteLength / 2);
  }

  /**
   * Real parts of a complex tensor, as a copy.
   *
   * @throws UsageError the tensor is not complex.
   */
  get real(): Float32Array | Float64Array {
    return this.#part(0);
  }

  /** Imaginary parts, as {@link Tensor.real}. */
  get imaginary(): Float32Array | Float64Array {
    return this.#part(1);
  }

  /**
   * Return one element.
   *
   * @param indices one for each dimension; a negative one counts from the end.
   * @throws InvalidArgument an index outside of the tensor, or another number of them.
   */
  at(...indices: number[]): Element {
    const { shape, strides } = this;
    if (
      indices.length !== shape.length ||
      indices.some((index, axis) => !Number.isInteger(index) || index < -shape[axis] || index >= shape[axis])
    ) {
      throw new InvalidArgument(`a tensor of shape [${shape.join(", ")}] has no element [${indices.join(", ")}]`);
    }
    const placed = indices.map((index, axis) => (index < 0 ? index + shape[axis] : index));
    return this.#element(placed.reduce((sum, index, axis) => sum + index * strides[axis], 0));
  }

  /**
   * Return a part, in the notation of views: `slice(0, [null, null, 4])` is `[0, ::4]` of numpy.
   *
   * The part is over the same memory where its elements stand side by side, such as some rows; otherwise they are copied.
   *
   * @throws InvalidArgument cuts that do not fit the shape.
   */
  slice(...cuts: Cut[]): Tensor<D> {
    const { name, dtype } = this;
    const { shape, bytes } = sliced(this.bytes, this.shape, itemBytesOf(dtype), cuts);
    return new Tensor({ name, dtype, shape }, bytes);
  }

  /**
   * Return the elements as lists of lists, as {@link Tensor.at} returns each.
   *
   * @throws InvalidArgument there are no elements, but more than 65,536 lists.
   */
  toNested(): Nested<Element> {
    return nested(this.shape, (position) => this.#element(position));
  }

  /**
   * Return the elements as pixels of a canvas; {@link Tensor.toImageData} for a page.
   *
   * @throws InvalidArgument a shape that is no image; complex numbers.
   */
  toPixels(options?: PixelOptions): Pixels {
    const data: TypedArray = this.data;
    if (this.dtype.startsWith("complex")) {
      throw new InvalidArgument(`a tensor of ${this.dtype} has no colours: draw its real or imaginary parts`);
    }
    return pixelsOf(data, this.shape, options);
  }

  /**
   * Return the elements as an image for `putImageData`, in a page or a worker.
   *
   * @throws InvalidArgument as {@link Tensor.toPixels}, and an image without pixels.
   * @throws UsageError the engine draws nothing, as Node.
   */
  toImageData(options?: PixelOptions): ImageData {
    const { data, width, height } = this.toPixels(options);
    if (typeof ImageData === "undefined") {
      throw new UsageError("this engine has no ImageData: use toPixels");
    }
    if (!data.length) {
      throw new InvalidArgument(`a tensor of shape [${this.shape.join(", ")}] has no pixels`);
    }
    return new ImageData(data, width, height);
  }

  /** Return the same tensor in memory of its own, so that the message in which it came can be given up. */
  copy(): Tensor<D> {
    return new Tensor({ name: this.name, dtype: this.dtype, shape: this.shape }, this.bytes.slice());
  }

  #element(position: number): Element {
    const data: TypedArray = this.data;
    if (this.dtype === "complex64" || this.dtype === "complex128") {
      return [Number(data[2 * position]), Number(data[2 * position + 1])];
    }
    return this.dtype === "bool" ? data[position] !== 0 : data[position];
  }

  #view(): TypedArray {
    const data = viewOfBytes(this.dtype, placed(this.bytes, Math.min(8, itemBytesOf(this.dtype))));
    // Any other byte than 0 reads as 1 (spec section 11), in a copy: the received bytes stay as they are.
    if (this.dtype === "bool" && data instanceof Uint8Array && data.some((byte) => byte > 1)) {
      return data.map((byte) => (byte ? 1 : 0));
    }
    return data;
  }

  #part(first: 0 | 1): Float32Array | Float64Array {
    const data: TypedArray = this.data;
    if (this.dtype === "complex64" && data instanceof Float32Array) {
      return Float32Array.from({ length: data.length / 2 }, (_, index) => data[2 * index + first]);
    }
    if (this.dtype === "complex128" && data instanceof Float64Array) {
      return Float64Array.from({ length: data.length / 2 }, (_, index) => data[2 * index + first]);
    }
    throw new UsageError(`a tensor of ${this.dtype} is not complex: read data`);
  }
}

/** Return bytes at a place in memory where an array of such elements may begin: those of every message are. */
function placed(bytes: Uint8Array, itemBytes: number): Uint8Array {
  return bytes.byteOffset % itemBytes ? bytes.slice() : bytes;
}

/** Return the payload of tensors as buffers to be written in order: their own memory, with padding between them. */
export function payloadOf(tensors: readonly Tensor[]): Uint8Array[] {
  return tensors.flatMap(({ bytes }, index) => (index < tensors.length - 1 ? withPadding([bytes]) : [bytes]));
}

/**
 * Return the tensors of a decoded payload, in place.
 *
 * @param specs specs from the message's meta block.
 * @param payload exactly the decoded payload.
 * @param count for a record batch (spec section 5.2), the number of its records.
 * @returns tensors over `payload`, but for small ones in a large buffer, which have memory of their own; for a batch one of
 *   shape `[count, ...shape]`.
 * @throws RequestRefused `SIZE_MISMATCH`, the payload does not have the size of the specs; `INVALID_TENSOR`, the specs are not
 *   those of a batch, or the batch is too big for an array.
 */
export function viewTensors(specs: readonly TensorSpec[], payload: Uint8Array, count?: number): Tensor[] {
  const all = count === undefined ? specs : [batchSpec(specs, count)];
  const { offsets, payload_bytes } = payloadLayout(all);
  if (payload.byteLength !== payload_bytes) {
    throw new RequestRefused(
      Code.SIZE_MISMATCH,
      `payload has ${payload.byteLength} bytes, its tensors have ${payload_bytes}`,
    );
  }
  return all.map((spec, index) => {
    const start = offsets[index];
    const end = start + elementsOf(spec.shape) * itemBytesOf(spec.dtype);
    return new Tensor(spec, unpinned(payload.subarray(start, end)));
  });
}

/** Return the spec of a record batch: that of a record, with the number of records before its shape. */
export function batchSpec(specs: readonly TensorSpec[], count: number): TensorSpec {
  if (specs.length !== 1) {
    throw new RequestRefused(Code.INVALID_TENSOR, `a record batch has one tensor descriptor, not ${specs.length}`);
  }
  const spec = { ...specs[0], shape: [count, ...specs[0].shape] };
  if (elementsOf(spec.shape.filter((dimension) => dimension)) * itemBytesOf(spec.dtype) > EXACT_MAX) {
    throw new RequestRefused(Code.INVALID_TENSOR, `no array can have shape [${spec.shape.join(", ")}]`);
  }
  return spec;
}
