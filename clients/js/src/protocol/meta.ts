/** Meta block of a data frame: tensor descriptors and headers (spec section 5.1). */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";
import { joined, viewOf, withPadding } from "./buffers.ts";
import { codeOf, type Dtype, dtypeOf, itemBytesOf } from "./dtypes.ts";
import { type JsonObject, parseJson, utf8Bytes, utf8Text, writeJson } from "./exact_json.ts";
import { isObject, typeOf } from "./json_body.ts";
import {
  DESCRIPTOR_BYTES,
  DESCRIPTOR_MORE,
  DESCRIPTOR_WIDE,
  EXACT_MAX,
  MAX_HEADERS_BYTES,
  MAX_NAME_BYTES,
  MAX_NDIM,
  MAX_TENSORS,
  NO_TENSOR,
  padded,
  U32_MAX,
} from "./wire.ts";

/** Contents of a tensor descriptor: name, dtype and shape of one tensor. */
export interface TensorSpec {
  /** Name, unique in the message; empty for the unnamed tensor. */
  readonly name: string;
  readonly dtype: Dtype;
  /** Up to 32 dimensions; `[]` is a scalar. */
  readonly shape: readonly number[];
}

/** Contents of a meta block. */
export interface Meta {
  /** Specs of the tensors, in the order in which the payload holds them. */
  readonly specs: readonly TensorSpec[];
  /** Headers of the message, or null. An integer above 2^53 is a `bigint`. */
  readonly headers: JsonObject | null;
  /** Decoded size, by the descriptors, of the payload of a message or of one record of a batch. */
  readonly payload_bytes: number;
}

const NO_TENSOR_BLOCK = new Uint8Array(8);

/** Return the number of elements of a shape. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Return the start of each tensor in the payload, and the size of the payload, in bytes (spec section 5.1). */
export function payloadLayout(specs: readonly TensorSpec[]): { offsets: number[]; payload_bytes: number } {
  const offsets: number[] = [];
  let end = 0;
  for (const { dtype, shape } of specs) {
    const offset = padded(end);
    offsets.push(offset);
    end = offset + elementsOf(shape) * itemBytesOf(dtype);
  }
  return { offsets, payload_bytes: end };
}

/**
 * Return the meta block of a message: a multiple of 8 bytes, empty for neither tensors nor headers.
 *
 * @param specs specs of the tensors, at most 255, with different names.
 * @throws InvalidArgument names, shapes or headers that cannot travel, or too many tensors or dimensions.
 */
export function writeMeta(specs: readonly TensorSpec[], headers: JsonObject | null = null): Uint8Array {
  if (specs.length > MAX_TENSORS) {
    throw new InvalidArgument(
      `${specs.length} tensors in one message; at most ${MAX_TENSORS} are allowed: send several messages`,
    );
  }
  if (new Set(specs.map(({ name }) => name)).size !== specs.length) {
    throw new InvalidArgument(
      `tensors of one message need different names; given are ${specs.map(({ name }) => name).join(", ")}`,
    );
  }
  const blocks = specs.flatMap((spec, index) => withPadding([descriptorOf(spec, index < specs.length - 1)]));
  if (headers !== null) {
    const text = utf8Bytes(writeJson(headers));
    if (text.byteLength > MAX_HEADERS_BYTES) {
      throw new InvalidArgument(
        `headers of ${text.byteLength} bytes, ${MAX_HEADERS_BYTES} are allowed: send large data as a tensor`,
      );
    }
    blocks.push(...(specs.length ? [] : [NO_TENSOR_BLOCK]), ...withPadding([text]));
  }
  return joined(blocks);
}

function descriptorOf({ name, dtype, shape }: TensorSpec, more: boolean): Uint8Array {
  const ndim = shape.length;
  if (ndim > MAX_NDIM) {
    throw new InvalidArgument(`tensor '${name.slice(0, 40)}' has ${ndim} dimensions; at most ${MAX_NDIM} can be sent`);
  }
  const nameBytes = utf8Bytes(name);
  if (nameBytes.byteLength > MAX_NAME_BYTES) {
    throw new InvalidArgument(
      `tensor name '${name.slice(0, 40)}' has ${nameBytes.byteLength} bytes; at most ${MAX_NAME_BYTES} fit`,
    );
  }
  const wrong = shape.find((dimension) => !Number.isSafeInteger(dimension) || dimension < 0);
  if (wrong !== undefined) {
    throw new InvalidArgument(`tensor '${name}' has shape [${shape.join(", ")}]: dimensions are integers from 0 on`);
  }
  const wide = shape.some((dimension) => dimension > U32_MAX);
  const step = wide ? 8 : 4;
  const descriptor = new Uint8Array(DESCRIPTOR_BYTES + ndim * step + nameBytes.byteLength);
  const view = viewOf(descriptor);
  view.setUint8(0, codeOf(dtype));
  view.setUint8(1, ndim);
  view.setUint8(2, nameBytes.byteLength);
  view.setUint8(3, (more ? DESCRIPTOR_MORE : 0) | (wide ? DESCRIPTOR_WIDE : 0));
  shape.forEach((dimension, axis) => {
    const at = DESCRIPTOR_BYTES + axis * step;
    if (wide) {
      view.setBigUint64(at, BigInt(dimension), true);
    } else {
      view.setUint32(at, dimension, true);
    }
  });
  descriptor.set(nameBytes, DESCRIPTOR_BYTES + ndim * step);
  return descriptor;
}

/**
 * Parse a meta block; the result holds no view of it.
 *
 * @throws RequestRefused `INVALID_TENSOR`, a broken descriptor; `INVALID_REQUEST`, broken headers.
 */
export function parseMeta(block: Uint8Array): Meta {
  const specs: TensorSpec[] = [];
  let at = 0;
  for (let more = block.byteLength > 0; more; ) {
    if (specs.length === MAX_TENSORS) {
      throw invalid(`more than ${MAX_TENSORS} tensors in one message`);
    }
    const { spec, next, flags } = parseDescriptor(block, at);
    more = (flags & DESCRIPTOR_MORE) !== 0;
    if (spec === null) {
      if (at || more) {
        throw invalid("dtype 0 is allowed in the one, empty descriptor of a message without tensors only");
      }
    } else {
      specs.push(spec);
    }
    at = next;
  }
  if (new Set(specs.map(({ name }) => name)).size !== specs.length) {
    throw invalid("two tensors of one message have the same name");
  }
  const { payload_bytes } = payloadLayout(specs);
  if (payload_bytes > EXACT_MAX) {
    throw invalid(`tensors of ${payload_bytes} bytes in one message`);
  }
  return { specs, headers: parseHeaders(block.subarray(at)), payload_bytes };
}

interface Descriptor {
  /** `null`: the message has no tensors. */
  readonly spec: TensorSpec | null;
  /** Start of the next one. */
  readonly next: number;
  readonly flags: number;
}

function parseDescriptor(block: Uint8Array, at: number): Descriptor {
  if (at + DESCRIPTOR_BYTES > block.byteLength) {
    throw invalid(`tensor descriptor at byte ${at} is cut off`);
  }
  const [code, ndim, nameBytes, flags] = block.subarray(at, at + DESCRIPTOR_BYTES);
  const step = flags & DESCRIPTOR_WIDE ? 8 : 4;
  const nameAt = at + DESCRIPTOR_BYTES + ndim * step;
  const nameEnd = nameAt + nameBytes;
  const next = padded(nameEnd);
  if (next > block.byteLength) {
    throw invalid(`tensor descriptor ends at byte ${next}, its block at ${block.byteLength}`);
  }
  if (code === NO_TENSOR) {
    if (ndim || nameBytes || flags) {
      throw invalid("dtype 0 is allowed in the one, empty descriptor of a message without tensors only");
    }
    return { spec: null, next, flags };
  }
  const dtype = dtypeOf(code);
  if (ndim > MAX_NDIM) {
    throw invalid(`tensor with ${ndim} dimensions; at most ${MAX_NDIM} are allowed`);
  }
  const view = viewOf(block);
  const shape: number[] = [];
  for (let dimensionAt = at + DESCRIPTOR_BYTES; dimensionAt < nameAt; dimensionAt += step) {
    shape.push(step === 8 ? Number(view.getBigUint64(dimensionAt, true)) : view.getUint32(dimensionAt, true));
  }
  // Bounds the product of the dimensions other than 0, so that strides are exact even where a tensor is empty.
  if (elementsOf(shape.filter((dimension) => dimension)) * itemBytesOf(dtype) > EXACT_MAX) {
    throw invalid(`no array can have shape [${shape.join(", ")}]`);
  }
  return { spec: { name: nameFrom(block.subarray(nameAt, nameEnd)), dtype, shape }, next, flags };
}

function nameFrom(bytes: Uint8Array): string {
  try {
    return utf8Text(bytes);
  } catch {
    throw invalid("tensor name is not UTF-8");
  }
}

function parseHeaders(block: Uint8Array): JsonObject | null {
  let end = block.byteLength;
  while (end && !block[end - 1]) {
    end--;
  }
  if (!end) {
    return null;
  }
  if (end > MAX_HEADERS_BYTES) {
    throw new RequestRefused(Code.INVALID_REQUEST, `headers of ${end} bytes exceed ${MAX_HEADERS_BYTES} bytes`);
  }
  const headers = parseJson("headers", block.subarray(0, end));
  if (!isObject(headers)) {
    throw new RequestRefused(Code.INVALID_REQUEST, `headers are ${typeOf(headers)}, not an object`);
  }
  return headers;
}

function invalid(problem: string): RequestRefused {
  return new RequestRefused(Code.INVALID_TENSOR, problem);
}
