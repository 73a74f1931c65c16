/**
 * Frames in a WebSocket message: finding and checking (spec section 2).
 *
 * Knows the eight bytes that start every frame. Must not know the contents of frames.
 */

import { Code, InvalidArgument, ProtocolViolation } from "../errors.ts";
import { viewOf } from "./buffers.ts";
import { ALIGNMENT, MAX_FRAME_BYTES, padded, START_BYTES } from "./wire.ts";

/** Position of one frame in its WebSocket message, and the fields of its first eight bytes. */
export interface Frame {
  readonly opcode: number;
  readonly flags: number;
  readonly meta_units: number;
  /** Index of the first byte; a multiple of 8. */
  readonly start: number;
  /** Index behind the last byte, padding not counted. */
  readonly end: number;
}

/**
 * Yield the frames of one WebSocket message, in order (spec section 2).
 *
 * Every frame lies within the message, holds at least its first eight bytes, and starts where the one before it and its
 * padding end. Padding is not looked at.
 *
 * @throws ProtocolViolation `MALFORMED_FRAME`, when the iteration reaches the place; the frames before are valid.
 */
export function* iterFrames(message: Uint8Array): Generator<Frame, void, undefined> {
  const size = message.byteLength;
  if (!size || size % ALIGNMENT) {
    throw malformed(`WebSocket message of ${size} bytes must be a positive multiple of ${ALIGNMENT}`);
  }
  const view = viewOf(message);
  for (let start = 0; start < size; ) {
    const frameBytes = view.getUint32(start, true);
    const end = start + frameBytes;
    if (frameBytes < START_BYTES || end > size) {
      throw malformed(
        `frame_bytes ${frameBytes} at offset ${start} is below ${START_BYTES} or past the WebSocket message of ${size} bytes`,
      );
    }
    yield {
      opcode: view.getUint8(start + 4),
      flags: view.getUint8(start + 5),
      meta_units: view.getUint16(start + 6, true),
      start,
      end,
    };
    start = padded(end);
  }
}

/** Return the bytes behind the start of a frame, for a JSON frame the object (spec section 2). No copy. */
export function bodyOf(message: Uint8Array, frame: Frame): Uint8Array {
  return message.subarray(frame.start + START_BYTES, frame.end);
}

/**
 * Refuse a binary frame that is shorter than its byte table; later versions may make it longer.
 *
 * @throws ProtocolViolation `MALFORMED_FRAME`.
 */
export function checkTable(frame: Frame, tableBytes: number): void {
  if (frame.end - frame.start < tableBytes) {
    const opcode = frame.opcode.toString(16).padStart(2, "0");
    throw malformed(`frame with opcode 0x${opcode} has ${frame.end - frame.start} bytes, its table ${tableBytes}`);
  }
}

/** Write the first eight bytes of a frame to the beginning of `head`. */
export function writeStart(head: DataView, frameBytes: number, opcode: number, flags = 0, metaUnits = 0): void {
  if (frameBytes > MAX_FRAME_BYTES) {
    throw new InvalidArgument(`a frame of ${frameBytes} bytes exceeds ${MAX_FRAME_BYTES}: send the payload in chunks`);
  }
  head.setUint32(0, frameBytes, true);
  head.setUint8(4, opcode);
  head.setUint8(5, flags);
  head.setUint16(6, metaUnits, true);
}

/** Return the error for bytes that are no frame. */
export function malformed(message: string): ProtocolViolation {
  return new ProtocolViolation(Code.MALFORMED_FRAME, message);
}
