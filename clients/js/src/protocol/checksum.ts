/** Checksum of a payload, CRC-32 (RFC 1952, section 8; spec section 6.3). */

import { viewOf } from "./buffers.ts";

const POLYNOMIAL = 0xedb88320;
const SLICES = 8;

// Eight tables, so that a step takes eight bytes.
const TABLES: readonly Int32Array[] = tables();

function tables(): Int32Array[] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    }
    first[byte] = crc;
  }
  const all = [first];
  for (let slice = 1; slice < SLICES; slice++) {
    const before = all[slice - 1];
    all.push(before.map((crc) => (crc >>> 8) ^ first[crc & 0xff]));
  }
  return all;
}

/**
 * Return the CRC-32 of a payload.
 *
 * @param buffers the decoded payload, in order.
 * @param checksum that of the bytes before it.
 */
export function checksumOf(buffers: readonly Uint8Array[], checksum = 0): number {
  return ~buffers.reduce((crc, buffer) => advanced(crc, buffer), ~checksum) >>> 0;
}

function advanced(start: number, bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  const view = viewOf(bytes);
  const words = bytes.byteLength - (bytes.byteLength % SLICES);
  let crc = start;
  let at = 0;
  for (; at < words; at += SLICES) {
    const low = crc ^ view.getInt32(at, true);
    const high = view.getInt32(at + 4, true);
    crc =
      t7[low & 0xff] ^
      t6[(low >>> 8) & 0xff] ^
      t5[(low >>> 16) & 0xff] ^
      t4[low >>> 24] ^
      t3[high & 0xff] ^
      t2[(high >>> 8) & 0xff] ^
      t1[(high >>> 16) & 0xff] ^
      t0[high >>> 24];
  }
  for (; at < bytes.byteLength; at++) {
    crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]) & 0xff];
  }
  return crc;
}
