/**
 * Extension block of a data frame: rare fields beside tensors and headers (spec section 5.3).
 *
 * Knows the bytes of each field, not its effect. Fields that this version does not know are skipped.
 */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";
import { viewOf } from "./buffers.ts";
import { malformed } from "./frames.ts";
import { ALIGNMENT, EXTENSION_START_BYTES, EXTENT_BYTES, MAX_NDIM } from "./wire.ts";

const REGION = 1;
const DEADLINE = 2;
const IDENTITY = 3;
const QUANTIZED = 4;
const RESUMING = 5;

/** Indices that a region takes of one dimension. */
export interface Extent {
  readonly start: bigint;
  readonly count: bigint;
  /** Distance of two indices, at least 1. */
  readonly step: bigint;
}

/** Producer of a message and its sequence there: the same however often the message is delivered. */
export interface Identity {
  readonly producer: bigint;
  readonly sequence: bigint;
}

/** Relation of the integers of a view to the numbers of its stream: `x = (q - zero_point) * scale`. */
export interface Quantization {
  /** Wire code of the dtype of the stream's tensor (spec section 11). */
  readonly dtype_code: number;
  readonly scale: number;
  readonly zero_point: number;
}

/** Fields of one block. */
export interface Extensions {
  /** Region of the state that the tensor replaces as a patch, an extent for each dimension. */
  readonly region?: readonly Extent[];
  /** Time after which the message is not delivered: Unix time in ns by the server's clock. */
  readonly deadline_ns?: bigint;
  readonly identity?: Identity;
  readonly quantized?: Quantization;
  /** True if the large message was begun on an earlier connection. */
  readonly resuming?: boolean;
}

/**
 * Return the size of the block that starts at `at`, where at least 8 bytes are.
 *
 * @throws ProtocolViolation `MALFORMED_FRAME`, a block of no units.
 */
export function blockBytes(message: Uint8Array, at: number): number {
  const units = viewOf(message).getUint16(at, true);
  if (!units) {
    throw malformed(`extension block of 0 units at offset ${at}`);
  }
  return units * ALIGNMENT;
}

/**
 * Read a complete block.
 *
 * @throws RequestRefused `INVALID_REQUEST`, a field that does not fit the block or its type.
 */
export function parseExtensions(block: Uint8Array): Extensions {
  const view = viewOf(block);
  let found: Extensions = {};
  for (let at = EXTENSION_START_BYTES; at < block.byteLength; ) {
    const kind = view.getUint8(at);
    const units = view.getUint16(at + 2, true);
    const end = at + units * ALIGNMENT;
    if (!units || end > block.byteLength) {
      throw invalid(`the field of type ${kind} at byte ${at} has ${units} units, the block ${block.byteLength} bytes`);
    }
    const data = viewOf(block.subarray(at + EXTENSION_START_BYTES, end));
    found = { ...found, ...parseField(kind, view.getUint32(at + 4, true), data) };
    at = end;
  }
  return found;
}

function parseField(kind: number, value: number, data: DataView): Extensions {
  switch (kind) {
    case REGION:
      return { region: parseRegion(value, data) };
    case DEADLINE:
      checkSize(kind, data, 8);
      return { deadline_ns: data.getBigInt64(0, true) };
    case IDENTITY:
      checkSize(kind, data, 16);
      return { identity: { producer: data.getBigUint64(0, true), sequence: data.getBigUint64(8, true) } };
    case QUANTIZED:
      checkSize(kind, data, 16);
      return {
        quantized: { dtype_code: value, scale: data.getFloat64(0, true), zero_point: data.getFloat64(8, true) },
      };
    case RESUMING:
      return { resuming: true };
    default:
      return {};
  }
}

function parseRegion(ndim: number, data: DataView): Extent[] {
  if (ndim > MAX_NDIM) {
    throw invalid(`the region has ${ndim} dimensions; at most ${MAX_NDIM} are possible`);
  }
  checkSize(REGION, data, ndim * EXTENT_BYTES);
  return Array.from({ length: ndim }, (_, axis) => {
    const at = axis * EXTENT_BYTES;
    const step = data.getBigUint64(at + 16, true);
    if (!step) {
      throw invalid(`the region has step 0 in dimension ${axis}; a step is at least 1`);
    }
    return { start: data.getBigUint64(at, true), count: data.getBigUint64(at + 8, true), step };
  });
}

/**
 * Return the block, a multiple of 8 bytes.
 *
 * @throws InvalidArgument a region of too many dimensions.
 */
export function writeExtensions(extensions: Extensions): Uint8Array {
  const { region, deadline_ns, identity, quantized, resuming } = extensions;
  if (region && region.length > MAX_NDIM) {
    throw new InvalidArgument(`the region has ${region.length} dimensions; at most ${MAX_NDIM} are possible`);
  }
  const fields: [kind: number, value: number, longs: (bigint | number)[]][] = [];
  if (region) {
    fields.push([REGION, region.length, region.flatMap(({ start, count, step }) => [start, count, step])]);
  }
  if (deadline_ns !== undefined) {
    fields.push([DEADLINE, 0, [deadline_ns]]);
  }
  if (identity) {
    fields.push([IDENTITY, 0, [identity.producer, identity.sequence]]);
  }
  if (quantized) {
    fields.push([QUANTIZED, quantized.dtype_code, [quantized.scale, quantized.zero_point]]);
  }
  if (resuming) {
    fields.push([RESUMING, 0, []]);
  }
  const units = fields.reduce((sum, [, , longs]) => sum + 1 + longs.length, 1);
  const block = new Uint8Array(units * ALIGNMENT);
  const view = viewOf(block);
  view.setUint16(0, units, true);
  let at = EXTENSION_START_BYTES;
  for (const [kind, value, longs] of fields) {
    view.setUint8(at, kind);
    view.setUint16(at + 2, 1 + longs.length, true);
    view.setUint32(at + 4, value, true);
    at += EXTENSION_START_BYTES;
    for (const long of longs) {
      if (typeof long === "bigint") {
        view.setBigUint64(at, BigInt.asUintN(64, long), true);
      } else {
        view.setFloat64(at, long, true);
      }
      at += 8;
    }
  }
  return block;
}

function checkSize(kind: number, data: DataView, size: number): void {
  if (data.byteLength < size) {
    throw invalid(`the field of type ${kind} has ${data.byteLength} bytes, its table ${size}`);
  }
}

function invalid(problem: string): RequestRefused {
  return new RequestRefused(Code.INVALID_REQUEST, `extension block: ${problem}`);
}
