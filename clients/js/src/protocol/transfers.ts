/**
 * Large messages: chunk plan, chunks, and their assembly (spec section 6).
 *
 * Knows one transfer at a time. Must not know the transfers of a connection, nor their timeouts.
 */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";
import { bytesOf, viewOf, withPadding } from "./buffers.ts";
import { decodeInto, type Encoding, parseEncoding, writeEncoding } from "./encoding.ts";
import { checkTable, type Frame, writeStart } from "./frames.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import {
  CHUNK_BYTES_MULTIPLE,
  CHUNK_HEADER_BYTES,
  CHUNK_PLAN_BYTES,
  ENCODING_BLOCK_BYTES,
  Flag,
  MAX_CHUNK_BYTES,
  MIN_CHUNK_BYTES,
  Opcode,
} from "./wire.ts";

/** Plan by which a payload is cut into chunks (spec section 6.1). */
export interface ChunkPlan {
  readonly transfer: number;
  /** Decoded size of every chunk but the last. */
  readonly chunk_bytes: number;
  /** Decoded size of all chunks together, at least 1. Above 2^53 it is rounded, and larger than any payload can be. */
  readonly payload_bytes: number;
}

/** Return the number of chunks of a plan, at least 1. */
export function chunkCount(plan: ChunkPlan): number {
  return Math.ceil(plan.payload_bytes / plan.chunk_bytes);
}

/** Return the decoded size of chunk `index`; 0 if there is no such chunk. */
export function chunkSize(plan: ChunkPlan, index: number): number {
  return Math.max(0, Math.min(plan.chunk_bytes, plan.payload_bytes - index * plan.chunk_bytes));
}

function problemOf({ chunk_bytes, payload_bytes }: ChunkPlan): string {
  if (chunk_bytes < MIN_CHUNK_BYTES || chunk_bytes > MAX_CHUNK_BYTES || chunk_bytes % CHUNK_BYTES_MULTIPLE) {
    return (
      `chunk_bytes ${chunk_bytes} is not a multiple of ${CHUNK_BYTES_MULTIPLE} ` +
      `from ${MIN_CHUNK_BYTES} to ${MAX_CHUNK_BYTES}`
    );
  }
  return payload_bytes < 1 ? `payload_bytes ${payload_bytes} of a chunked message is below 1` : "";
}

/**
 * Read the chunk plan at index `at`, where at least 16 bytes are.
 *
 * @throws RequestRefused `BROKEN_TRANSFER`, sizes break the rules of the plan. The caller has to compare `payload_bytes` with
 *   the descriptors.
 */
export function parsePlan(message: Uint8Array, at: number): ChunkPlan {
  const view = viewOf(message);
  const plan = {
    transfer: view.getUint32(at, true),
    chunk_bytes: view.getUint32(at + 4, true),
    payload_bytes: Number(view.getBigUint64(at + 8, true)),
  };
  const problem = problemOf(plan);
  if (problem) {
    throw new RequestRefused(Code.BROKEN_TRANSFER, `transfer ${plan.transfer}: ${problem}`);
  }
  return plan;
}

/**
 * Return the 16 bytes of a plan.
 *
 * @throws InvalidArgument sizes break the rules of the plan.
 */
export function writePlan(plan: ChunkPlan): Uint8Array {
  const problem = problemOf(plan);
  if (problem) {
    throw new InvalidArgument(problem);
  }
  const bytes = new Uint8Array(CHUNK_PLAN_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, plan.transfer, true);
  view.setUint32(4, plan.chunk_bytes, true);
  view.setBigUint64(8, BigInt(plan.payload_bytes), true);
  return bytes;
}

/** One chunk as on the wire (spec section 6.2). */
export interface Chunk {
  readonly transfer: number;
  readonly index: number;
  readonly encoding: Encoding | undefined;
  /** Bytes of the chunk, encoded if `encoding` is present; a view of the WebSocket message. */
  readonly data: Uint8Array;
}

/**
 * Read a CHUNK frame without copying or decoding its data.
 *
 * @throws ProtocolViolation `MALFORMED_FRAME`, the frame is shorter than its table.
 * @throws RequestRefused `UNKNOWN_CODEC`, from the encoding block.
 */
export function parseChunk(message: Uint8Array, frame: Frame): Chunk {
  checkTable(frame, CHUNK_HEADER_BYTES);
  const view = viewOf(message);
  let at = frame.start + CHUNK_HEADER_BYTES;
  let encoding: Encoding | undefined;
  if (frame.flags & Flag.ENCODED) {
    checkTable(frame, CHUNK_HEADER_BYTES + ENCODING_BLOCK_BYTES);
    encoding = parseEncoding(message, at);
    at += ENCODING_BLOCK_BYTES;
  }
  return {
    transfer: view.getUint32(frame.start + 8, true),
    index: view.getUint32(frame.start + 12, true),
    encoding,
    data: message.subarray(at, frame.end),
  };
}

/** Return a CHUNK frame as the list of buffers to write, padding included; `data` is passed on, not copied. */
export function writeChunk(
  transfer: number,
  index: number,
  data: readonly Uint8Array[],
  encoding?: Encoding,
): Uint8Array[] {
  const block = encoding ? [writeEncoding(encoding)] : [];
  const head = new Uint8Array(CHUNK_HEADER_BYTES);
  const view = viewOf(head);
  const buffers = [head, ...block, ...data];
  writeStart(view, bytesOf(buffers), Opcode.CHUNK, encoding ? Flag.ENCODED : 0);
  view.setUint32(8, transfer, true);
  view.setUint32(12, index, true);
  return withPadding(buffers);
}

/**
 * Assembly of the chunks of one transfer in one buffer of the size of the payload (spec section 6).
 *
 * Each chunk is decoded straight into its place, so that memory is bounded by the payload's size and one chunk. After
 * {@link Assembler.receive} has thrown, the transfer is over and the assembler refuses every other chunk.
 */
export class Assembler {
  readonly plan: ChunkPlan;
  /** Decoded bytes so far, to show progress. */
  receivedBytes = 0;
  readonly #out: Uint8Array<ArrayBuffer>;
  #nextIndex = 0;

  /**
   * @param plan plan from the data frame; the caller has compared `payload_bytes` with the descriptors.
   * @param maxMessageBytes size of the largest payload to allocate (spec section 13).
   * @throws RequestRefused `MESSAGE_TOO_BIG`, the payload exceeds the limit or the memory of the engine.
   */
  constructor(plan: ChunkPlan, maxMessageBytes = DEFAULT_LIMITS.max_message_bytes) {
    if (plan.payload_bytes > maxMessageBytes) {
      throw tooBig(`payload of ${plan.payload_bytes} bytes exceeds max_message_bytes=${maxMessageBytes}`);
    }
    try {
      this.#out = new Uint8Array(plan.payload_bytes);
    } catch {
      throw tooBig(`the engine has no memory for a payload of ${plan.payload_bytes} bytes`);
    }
    this.plan = plan;
  }

  /** Index of the first chunk that is missing; -1 after a failure. */
  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** True if the last chunk has been received. */
  get complete(): boolean {
    return this.receivedBytes === this.plan.payload_bytes;
  }

  /**
   * Take the next chunk; its data is not needed afterwards.
   *
   * @param base complete payload that a delta refers to (spec section 10).
   * @throws RequestRefused `BROKEN_TRANSFER`, the chunk is of another transfer, not the next one, or of the wrong decoded
   *   size; `CORRUPT_PAYLOAD`, it does not decode to its declared size.
   * @throws UsageError its compressor is not loaded (`loadCodecs`).
   */
  receive(chunk: Chunk, base?: Uint8Array): void {
    const { plan } = this;
    const expected = this.#nextIndex;
    this.#nextIndex = -1;
    const size = chunkSize(plan, chunk.index);
    if (chunk.transfer !== plan.transfer || chunk.index !== expected || !size) {
      const wanted = expected >= 0 ? `chunk ${expected} of ${chunkCount(plan)}` : "no further chunk";
      throw broken(`chunk ${chunk.index} of transfer ${chunk.transfer}: transfer ${plan.transfer} expects ${wanted}`);
    }
    const decodedBytes = chunk.encoding ? chunk.encoding.decoded_bytes : chunk.data.byteLength;
    if (decodedBytes !== size) {
      throw broken(
        `chunk ${chunk.index} of transfer ${plan.transfer} has ${decodedBytes} bytes, its plan says ${size}`,
      );
    }
    const at = chunk.index * plan.chunk_bytes;
    const out = this.#out.subarray(at, at + size);
    if (chunk.encoding) {
      decodeInto(chunk.encoding, chunk.data, out, base?.subarray(at, at + size));
    } else {
      out.set(chunk.data);
    }
    this.receivedBytes += size;
    this.#nextIndex = chunk.index + 1;
  }

  /**
   * Return the complete payload: the buffer itself, no copy.
   *
   * @throws RequestRefused `BROKEN_TRANSFER`, chunks are missing (END came too early, spec section 6.3).
   */
  payload(): Uint8Array<ArrayBuffer> {
    if (!this.complete) {
      throw broken(
        `transfer ${this.plan.transfer} ended after ${this.receivedBytes} of ${this.plan.payload_bytes} bytes`,
      );
    }
    return this.#out;
  }
}

function broken(problem: string): RequestRefused {
  return new RequestRefused(Code.BROKEN_TRANSFER, problem);
}

function tooBig(problem: string): RequestRefused {
  return new RequestRefused(Code.MESSAGE_TOO_BIG, `${problem}: split the tensor, or ask for a view of it`);
}
