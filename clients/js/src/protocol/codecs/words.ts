/** Bytes as words of the machine, which JavaScript reads several times faster than bytes. Little-endian, as the wire. */

/** Return the bytes, or a copy of them that starts on a multiple of `size` in its memory. */
export function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size ? bytes.slice() : bytes;
}

/** Return the complete words of bytes that start on a multiple of 2; changes of one are changes of the other. */
export function words16(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 1);
}

/** Return the complete words of bytes that start on a multiple of 4; changes of one are changes of the other. */
export function words32(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
}
