/**
 * Chains of codecs: description on the wire, decoding, and the encoding that a browser does (spec section 10).
 *
 * Decoding is synchronous. A compressor that is loaded when first met is awaited before, by {@link loadCodecs}.
 */

import { Code, RequestRefused } from "../errors.ts";
import { viewOf } from "./buffers.ts";
import { type Compressor, corrupt } from "./codecs/abc.ts";
import { encodeLz4, LZ4 } from "./codecs/lz4.ts";
import { NONE } from "./codecs/none.ts";
import { compressorOf, filterOf, isDelta } from "./codecs/registry.ts";
import { SHUFFLE, shuffleInto } from "./codecs/shuffle.ts";
import { malformed } from "./frames.ts";
import { ENCODING_BLOCK_BYTES, MAX_STEPS } from "./wire.ts";

/** One step of a chain on the wire: a codec and its parameter. */
export interface CodecStep {
  readonly id: number;
  readonly param: number;
}

/** Encoding block of a payload or chunk (spec section 10.1). */
export interface Encoding {
  /**
   * Size after decoding, which decoding allocates. Compare it with the descriptors or the chunk plan, and with the limit on a
   * message, before decoding. Above 2^53 it is rounded, and larger than any payload can be.
   */
  readonly decoded_bytes: number;
  /** Steps in the order in which the encoder applied them, without the end of the chain; empty for plain data. */
  readonly steps: readonly CodecStep[];
}

const STEPS_AT = 8;

/** Return the offsets from a delta back to its base; 0 if the data is no delta. */
export function distanceOf(encoding: Encoding): number {
  return encoding.steps.find(({ id }) => isDelta(id))?.param ?? 0;
}

/**
 * Return the encoding block that starts at `at`.
 *
 * @throws RequestRefused `UNKNOWN_CODEC`, an unknown id, a parameter out of range, or a chain that breaks the rules.
 * @throws ProtocolViolation `MALFORMED_FRAME`, the buffer ends within the block.
 */
export function parseEncoding(buffer: Uint8Array, at = 0): Encoding {
  if (at + ENCODING_BLOCK_BYTES > buffer.byteLength) {
    throw malformed(`encoding block of ${buffer.byteLength - at} bytes is cut off`);
  }
  const steps: CodecStep[] = [];
  const stepsAt = at + STEPS_AT;
  for (let index = stepsAt; index < stepsAt + 2 * MAX_STEPS && buffer[index] !== NONE.id; index += 2) {
    steps.push({ id: buffer[index], param: buffer[index + 1] });
  }
  checkSteps(steps);
  return { decoded_bytes: Number(viewOf(buffer).getBigUint64(at, true)), steps };
}

function checkSteps(steps: readonly CodecStep[]): void {
  steps.forEach(({ id, param }, index) => {
    const compressor = compressorOf(id);
    const codec = compressor ?? filterOf(id);
    if (compressor && index < steps.length - 1) {
      throw unknownCodec(`${codec.name} is not the last step`, steps);
    }
    if (param < codec.parameters[0] || param > codec.parameters[1]) {
      throw unknownCodec(`${codec.name} has parameter ${param}`, steps);
    }
  });
  if (new Set(steps.map(({ id }) => id)).size !== steps.length) {
    throw unknownCodec("a filter occurs twice", steps);
  }
  if (steps.filter(({ id }) => isDelta(id)).length > 1) {
    throw unknownCodec("two delta filters; one is allowed", steps);
  }
}

function unknownCodec(problem: string, steps: readonly CodecStep[]): RequestRefused {
  const chain = steps.map(({ id, param }) => `${id}:${param}`).join(", ");
  return new RequestRefused(Code.UNKNOWN_CODEC, `codec chain ${chain}: ${problem}`);
}

/** Return the block, 16 bytes. */
export function writeEncoding(encoding: Encoding): Uint8Array {
  const block = new Uint8Array(ENCODING_BLOCK_BYTES);
  viewOf(block).setBigUint64(0, BigInt(encoding.decoded_bytes), true);
  block.set(
    encoding.steps.flatMap(({ id, param }) => [id, param]),
    STEPS_AT,
  );
  return block;
}

/**
 * Load the compressor of an encoding.
 *
 * @returns `undefined` if it is there already, as nearly always: the message can be decoded at once.
 */
export function loadCodecs(encoding: Encoding | undefined): Promise<void> | undefined {
  const compressor = encoding && compressorIn(encoding);
  return compressor && !compressor.loaded ? compressor.load() : undefined;
}

/**
 * Decode a payload or a chunk.
 *
 * @param encoding from the wire; the caller has checked `decoded_bytes` against its limit. Absent: the data is plain.
 * @param base for a delta, the payload that it refers to.
 * @returns bytes of exactly the declared size; `data` itself if it is plain, or for a chain without steps.
 * @throws RequestRefused `CORRUPT_PAYLOAD`; `UNKNOWN_CODEC`; `MESSAGE_TOO_BIG`, the engine has no memory for it.
 * @throws UsageError a compressor is not loaded.
 */
export function decode(encoding: Encoding | undefined, data: Uint8Array, base?: Uint8Array): Uint8Array {
  if (!encoding) {
    return data;
  }
  compressorIn(encoding).checkSize(data, encoding.decoded_bytes);
  if (!encoding.steps.length) {
    return data;
  }
  const out = newMemory(encoding.decoded_bytes);
  decodeInto(encoding, data, out, base);
  return out;
}

/**
 * Decode a payload or a chunk into its place; errors as {@link decode}.
 *
 * @param out not overlapping `data`; undefined after an error.
 */
export function decodeInto(encoding: Encoding, data: Uint8Array, out: Uint8Array, base?: Uint8Array): void {
  if (out.byteLength !== encoding.decoded_bytes) {
    throw corrupt(`the encoding block declares ${encoding.decoded_bytes} bytes where ${out.byteLength} are expected`);
  }
  const compressor = compressorIn(encoding);
  compressor.checkSize(data, encoding.decoded_bytes);
  const filters = encoding.steps.filter(({ id }) => !compressorOf(id));
  let decoded = data;
  if (compressor !== NONE || !filters.length) {
    decoded = filters.length ? newMemory(out.byteLength) : out;
    compressor.decodeInto(data, decoded);
  }
  for (let index = filters.length - 1; index >= 0; index--) {
    const target = index ? newMemory(out.byteLength) : out;
    filterOf(filters[index].id).decodeInto(decoded, target, filters[index].param, base);
    decoded = target;
  }
}

function compressorIn({ steps }: Encoding): Compressor {
  return (steps.length && compressorOf(steps[steps.length - 1].id)) || NONE;
}

function newMemory(size: number): Uint8Array {
  try {
    return new Uint8Array(size);
  } catch {
    throw new RequestRefused(Code.MESSAGE_TOO_BIG, `the engine has no memory for a payload of ${size} bytes`);
  }
}

/** A payload as it travels. */
export interface Encoded {
  readonly encoding: Encoding;
  readonly data: Uint8Array;
}

/**
 * Encode a payload or a chunk by lz4, the compressor that a browser encodes with.
 *
 * @param itemBytes bytes of an element, to shuffle them before; 1: without.
 * @returns `undefined`, to be sent plain: block and data would not be smaller than the payload.
 */
export function encode(payload: Uint8Array, itemBytes = 1): Encoded | undefined {
  const room = payload.byteLength - ENCODING_BLOCK_BYTES - 1;
  if (room < 1) {
    return undefined;
  }
  const steps: CodecStep[] = [{ id: LZ4.id, param: 0 }];
  let filtered = payload;
  if (itemBytes > 1) {
    steps.unshift({ id: SHUFFLE.id, param: itemBytes });
    filtered = new Uint8Array(payload.byteLength);
    shuffleInto(payload, filtered, itemBytes);
  }
  const data = encodeLz4(filtered, room);
  return data && { encoding: { decoded_bytes: payload.byteLength, steps }, data };
}
