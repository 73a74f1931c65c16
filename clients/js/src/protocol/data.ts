/**
 * Data frames: MESSAGE, BATCH, REQUEST and REPLY (spec section 5).
 *
 * Cuts a frame into its blocks and puts it together. Must not know the contents of the meta block or the payload.
 */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";
import { bytesOf, viewOf, withPadding } from "./buffers.ts";
import { type Encoding, parseEncoding, writeEncoding } from "./encoding.ts";
import { blockBytes, type Extensions, parseExtensions, writeExtensions } from "./extensions.ts";
import { checkTable, type Frame, writeStart } from "./frames.ts";
import { type ChunkPlan, parsePlan, writePlan } from "./transfers.ts";
import {
  ALIGNMENT,
  BATCH_BLOCK_BYTES,
  CHUNK_PLAN_BYTES,
  DATA_HEADER_BYTES,
  type DataOpcode,
  ENCODING_BLOCK_BYTES,
  EXTENSION_START_BYTES,
  Flag,
  MAX_BATCH_RECORDS,
  MAX_META_UNITS,
  Opcode,
} from "./wire.ts";

/** A data frame, cut into its blocks; its byte arrays are views of the WebSocket message (spec section 5). */
export interface DataFrame {
  readonly opcode: DataOpcode;
  readonly flags: number;
  /** Alias (from a client) or id of the stream (from the server); of a reply a peer. */
  readonly stream: number;
  /** Peer that published the message; 0 from a client. */
  readonly publisher: number;
  /** Sequence (from a client) or offset (from the server); of a request or reply the correlation. */
  readonly offset: bigint;
  /** Unix time in ns. */
  readonly timestamp_ns: bigint;
  /** Number of records in a BATCH; other frames have none. */
  readonly count?: number | undefined;
  /** The meta block, for `parseMeta`. */
  readonly meta: Uint8Array;
  readonly encoding?: Encoding | undefined;
  /** Present if the payload comes in chunks; then `payload` is empty and `encoding` is absent. */
  readonly plan?: ChunkPlan | undefined;
  /** Encoded if `encoding` is present. */
  readonly payload: Uint8Array;
  readonly extensions?: Extensions | undefined;
}

/** Return the size of the decoded payload, as the frame declares it; of a large message that of all its chunks. */
export function decodedBytes(frame: DataFrame): number {
  return frame.plan?.payload_bytes ?? frame.encoding?.decoded_bytes ?? frame.payload.byteLength;
}

/**
 * Cut a data frame into its blocks; nothing is copied or decoded (spec section 5).
 *
 * @param message the WebSocket message.
 * @param frame one of its frames, of an opcode for which `isData` is true.
 * @throws ProtocolViolation `MALFORMED_FRAME`, the frame is shorter than the blocks that it announces.
 * @throws RequestRefused `INVALID_REQUEST`, a batch of no or too many records or a broken extension block; `UNKNOWN_CODEC`, from the
 *   encoding block; `BROKEN_TRANSFER`, from the chunk plan; `SIZE_MISMATCH`, bytes behind the plan.
 */
export function parseData(message: Uint8Array, frame: Frame): DataFrame {
  const { flags, start, end } = frame;
  const opcode = frame.opcode as DataOpcode;
  const metaAt = start + DATA_HEADER_BYTES + (opcode === Opcode.BATCH ? BATCH_BLOCK_BYTES : 0);
  let at = metaAt + ALIGNMENT * frame.meta_units;
  checkTable(frame, at - start);
  const view = viewOf(message);
  const count = opcode === Opcode.BATCH ? view.getUint32(start + DATA_HEADER_BYTES, true) : undefined;
  if (count !== undefined && !isBatchCount(count)) {
    const problem = `a record batch has count ${count}; it must hold 1 to ${MAX_BATCH_RECORDS} records`;
    throw new RequestRefused(Code.INVALID_REQUEST, problem);
  }
  const meta = message.subarray(metaAt, at);
  let extensions: Extensions | undefined;
  let encoding: Encoding | undefined;
  let plan: ChunkPlan | undefined;
  if (flags & Flag.EXTENDED) {
    checkTable(frame, at + EXTENSION_START_BYTES - start);
    const size = blockBytes(message, at);
    checkTable(frame, at + size - start);
    extensions = parseExtensions(message.subarray(at, at + size));
    at += size;
  }
  if (flags & Flag.CHUNKED) {
    checkTable(frame, at + CHUNK_PLAN_BYTES - start);
    plan = parsePlan(message, at);
    at += CHUNK_PLAN_BYTES;
    if (at !== end) {
      throw new RequestRefused(
        Code.SIZE_MISMATCH,
        `${end - at} bytes follow the plan of transfer ${plan.transfer}; its payload comes in chunks`,
      );
    }
  } else if (flags & Flag.ENCODED) {
    checkTable(frame, at + ENCODING_BLOCK_BYTES - start);
    encoding = parseEncoding(message, at);
    at += ENCODING_BLOCK_BYTES;
  }
  return {
    opcode,
    flags,
    stream: view.getUint32(start + 8, true),
    publisher: view.getUint32(start + 12, true),
    offset: view.getBigUint64(start + 16, true),
    timestamp_ns: view.getBigInt64(start + 24, true),
    count,
    meta,
    encoding,
    plan,
    payload: message.subarray(at, end),
    extensions,
  };
}

/** Return whether a batch may have so many records: they may have no bytes, so that nothing else bounds their number. */
function isBatchCount(count: number): boolean {
  return count > 0 && count <= MAX_BATCH_RECORDS;
}

const PLAIN_FLAGS = ~(Flag.ENCODED | Flag.CHUNKED | Flag.EXTENDED);

/** Fields of a frame to write; those with a usual value may be left out. */
export interface DataFields extends Omit<DataFrame, "flags" | "publisher" | "meta" | "payload"> {
  /** Any of ACK, FAILED and MORE; ENCODED, CHUNKED and EXTENDED follow from the other fields. */
  readonly flags?: number;
  readonly publisher?: number;
  readonly meta?: Uint8Array;
  /** Buffers in order; passed on, never copied. */
  readonly payload?: readonly Uint8Array[];
}

/**
 * Return a data frame as the list of buffers to write, padding included (spec section 5).
 *
 * @throws InvalidArgument fields that do not go together, or more than a frame can hold.
 */
export function writeData(fields: DataFields): Uint8Array[] {
  const { opcode, stream, publisher = 0, offset, timestamp_ns, count, plan, encoding, extensions } = fields;
  const { meta = new Uint8Array(0), payload = [] } = fields;
  const isBatch = opcode === Opcode.BATCH;
  if (isBatch ? !isBatchCount(count ?? 0) : count !== undefined) {
    throw new InvalidArgument(
      `count ${count} with opcode ${opcode}: give a BATCH a count of 1 to ${MAX_BATCH_RECORDS}, other frames none`,
    );
  }
  if (plan && (payload.length || encoding)) {
    throw new InvalidArgument(
      `the frame of transfer ${plan.transfer} has a plan: send its payload and encoding with the chunks`,
    );
  }
  if (meta.byteLength % ALIGNMENT || meta.byteLength > MAX_META_UNITS * ALIGNMENT) {
    throw new InvalidArgument(
      `meta block of ${meta.byteLength} bytes must be a multiple of 8, ${MAX_META_UNITS * ALIGNMENT} at most`,
    );
  }
  const head = new Uint8Array(DATA_HEADER_BYTES + (isBatch ? BATCH_BLOCK_BYTES : 0));
  const buffers = [head, meta];
  let flags = (fields.flags ?? 0) & PLAIN_FLAGS;
  if (extensions) {
    flags |= Flag.EXTENDED;
    buffers.push(writeExtensions(extensions));
  }
  if (plan) {
    flags |= Flag.CHUNKED;
    buffers.push(writePlan(plan));
  } else if (encoding) {
    flags |= Flag.ENCODED;
    buffers.push(writeEncoding(encoding));
  }
  buffers.push(...payload);
  const view = viewOf(head);
  writeStart(view, bytesOf(buffers), opcode, flags, meta.byteLength / ALIGNMENT);
  view.setUint32(8, stream, true);
  view.setUint32(12, publisher, true);
  view.setBigUint64(16, offset, true);
  view.setBigInt64(24, timestamp_ns, true);
  if (isBatch) {
    view.setUint32(DATA_HEADER_BYTES, count ?? 0, true);
  }
  return withPadding(buffers);
}
