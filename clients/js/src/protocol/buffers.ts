/** Views over received memory, and the one place where buffers to be written are joined. */

import { ALIGNMENT, padded } from "./wire.ts";

const PADDING = new Uint8Array(ALIGNMENT);

/** Return a view by which numbers of a byte array are read and written. No copy. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Return the number of bytes in a list of buffers. */
export function bytesOf(buffers: readonly Uint8Array[]): number {
  return buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
}

/** Return buffers one behind the other, as one copy: a `WebSocket` sends one buffer at a time. */
export function joined(buffers: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytesOf(buffers));
  let at = 0;
  for (const buffer of buffers) {
    whole.set(buffer, at);
    at += buffer.byteLength;
  }
  return whole;
}

/** Return buffers followed by the zero bytes that fill the last unit of 8 (spec section 2). */
export function withPadding(buffers: readonly Uint8Array[], size = bytesOf(buffers)): Uint8Array[] {
  const missing = padded(size) - size;
  return missing ? [...buffers, PADDING.subarray(0, missing)] : [...buffers];
}
