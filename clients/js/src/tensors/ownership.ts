/**
 * Memory that a kept tensor keeps.
 *
 * A WebSocket message is one buffer, and a view of a part of it keeps all of it. The gateway joins small messages up to 256 KiB
 * and sends larger ones alone; so a large tensor keeps little but its own message, and a small one would keep its neighbours.
 */

/** Bytes of the largest tensor that gets memory of its own. */
export const SMALL_TENSOR_BYTES = 4 * 1024;

/** Bytes of the largest buffer that a small tensor may keep. */
export const SMALL_BUFFER_BYTES = 16 * 1024;

/** Return bytes that keep no large buffer for a small tensor: a copy if need be, otherwise the same. */
export function unpinned(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength <= SMALL_TENSOR_BYTES && bytes.buffer.byteLength > SMALL_BUFFER_BYTES ? bytes.slice() : bytes;
}
