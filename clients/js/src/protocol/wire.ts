/**
 * Numbers of the wire, all in one place (`spec/protocol.md`).
 *
 * Knows opcodes, flags, sizes and limits. No other module states a number of the wire. Names of the specification are spelled
 * as there in all of this folder: fields of messages in snake_case, codes and opcodes in capitals.
 */

import * as Opcode from "./opcodes.ts";

export { Opcode };

export const SUBPROTOCOL_BINARY = "frys.v1";
export const SUBPROTOCOL_JSON = "frys.v1.json";
export const VERSION = 1;

export type OpcodeName = keyof typeof Opcode;

/** Return the name of an opcode; `undefined`: this version does not know it. */
export function opcodeName(opcode: number): OpcodeName | undefined {
  return Object.entries(Opcode).find(([, known]) => known === opcode)?.[0] as OpcodeName | undefined;
}

/** Opcodes of data frames (spec section 5). */
export type DataOpcode = typeof Opcode.MESSAGE | typeof Opcode.BATCH | typeof Opcode.REQUEST | typeof Opcode.REPLY;

/** Return whether a frame of this opcode is a data frame. */
export function isData(opcode: number): opcode is DataOpcode {
  return opcode >= Opcode.MESSAGE && opcode <= Opcode.REPLY;
}

/** Return whether the body of a frame of this opcode is JSON. */
export function isJson(opcode: number): boolean {
  return (opcode > 0 && opcode < Opcode.MESSAGE) || (opcode >= Opcode.DELETE && opcode <= Opcode.MEMBERS);
}

/** Flags of data frames and chunks (spec sections 5 and 6.2). */
export const Flag = { ENCODED: 0x01, CHUNKED: 0x02, ACK: 0x04, FAILED: 0x08, EXTENDED: 0x10, MORE: 0x20 } as const;

/** Bits of an ACK that hold the durability of the message (spec section 7.1). */
export const ACK_DURABILITY = 0x03;
export const ACK_REPEATED = 0x04;
export const END_CHECKSUM = 0x01;
export const PING_REPORT = 0x01;

/** Frames, blocks and tensors start on multiples of this (spec section 2). */
export const ALIGNMENT = 8;
/** Size of the start of every frame: frame_bytes, opcode, flags, meta_units (spec section 2). */
export const START_BYTES = 8;
export const MAX_FRAME_BYTES = 0xffff_ffff;
/** Size of the header of a data frame (spec section 5). */
export const DATA_HEADER_BYTES = 32;
/** Size of count and zero behind the header of a BATCH (spec section 5.2). */
export const BATCH_BLOCK_BYTES = 8;
/** Size of a CHUNK before its encoding block or data (spec section 6.2). */
export const CHUNK_HEADER_BYTES = 16;
/** Size of transfer, chunk_bytes and payload_bytes (spec section 6.1). */
export const CHUNK_PLAN_BYTES = 16;
/** Size of decoded_bytes and four steps (spec section 10.1). */
export const ENCODING_BLOCK_BYTES = 16;
/** Size of the start of the extension block, and of each field in it (spec section 5.3). */
export const EXTENSION_START_BYTES = 8;
/** Size of start, count and step of one dimension of a region (spec section 5.3). */
export const EXTENT_BYTES = 24;
/** Size of dtype, ndim, name_bytes and flags (spec section 5.1). */
export const DESCRIPTOR_BYTES = 4;
export const DESCRIPTOR_MORE = 0x01;
export const DESCRIPTOR_WIDE = 0x02;
export const NO_TENSOR = 0;

export const MAX_NDIM = 32;
export const MAX_NAME_BYTES = 255;
export const MAX_TENSORS = 255;
export const MAX_HEADERS_BYTES = 64 * 1024;
export const MAX_BATCH_RECORDS = 65_536;
export const MAX_META_UNITS = 0xffff;
export const MIN_CHUNK_BYTES = 4096;
export const MAX_CHUNK_BYTES = 4 * 1024 * 1024;
export const CHUNK_BYTES_MULTIPLE = 64;
export const MAX_STEPS = 4;
/** Positions in one REPORT (spec section 7.10). */
export const MAX_POSITIONS = 64;

export const U32_MAX = 2 ** 32 - 1;
export const U64_MAX = 2n ** 64n - 1n;
/** Largest integer that a `number` holds exactly together with every one below it. */
export const EXACT_MAX = Number.MAX_SAFE_INTEGER;

/** Return the next multiple of 8 at or above `size`. */
export function padded(size: number): number {
  return size + (-size & 7);
}
