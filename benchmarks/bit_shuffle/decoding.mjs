/**
 * Times of decoding in JavaScript: `node decoding.mjs ENCODING_MODULE`, with one JSON object a line by stdin.
 *
 * A line names files with an encoded payload and the decoded one, the steps of the chain, and the element size if bits
 * were shuffled. The answer is a line with the seconds of the decompression and of the bit shuffle, shortest of some.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const LEAST_MS = 150;

const { decode, loadCodecs } = await import(process.argv[2]);

/** Put the bits back that stand by planes: 64 bits of 8 elements at once, as two words. */
function unshuffleBits(data, out, itemBytes) {
  const stride = data.byteLength / (8 * itemBytes);
  for (let byte = 0; byte < itemBytes; byte++) {
    const at = 8 * byte * stride;
    const plane0 = data.subarray(at, at + stride);
    const plane1 = data.subarray(at + stride, at + 2 * stride);
    const plane2 = data.subarray(at + 2 * stride, at + 3 * stride);
    const plane3 = data.subarray(at + 3 * stride, at + 4 * stride);
    const plane4 = data.subarray(at + 4 * stride, at + 5 * stride);
    const plane5 = data.subarray(at + 5 * stride, at + 6 * stride);
    const plane6 = data.subarray(at + 6 * stride, at + 7 * stride);
    const plane7 = data.subarray(at + 7 * stride, at + 8 * stride);
    for (let index = 0, to = byte; index < stride; index++, to += 8 * itemBytes) {
      let low = plane0[index] | (plane1[index] << 8) | (plane2[index] << 16) | (plane3[index] << 24);
      let high = plane4[index] | (plane5[index] << 8) | (plane6[index] << 16) | (plane7[index] << 24);
      let moved = (low ^ (low >>> 7)) & 0x00aa00aa;
      low ^= moved ^ (moved << 7);
      moved = (high ^ (high >>> 7)) & 0x00aa00aa;
      high ^= moved ^ (moved << 7);
      moved = (low ^ (low >>> 14)) & 0x0000cccc;
      low ^= moved ^ (moved << 14);
      moved = (high ^ (high >>> 14)) & 0x0000cccc;
      high ^= moved ^ (moved << 14);
      const first = (low & 0x0f0f0f0f) | ((high << 4) & 0xf0f0f0f0);
      const second = ((low >>> 4) & 0x0f0f0f0f) | (high & 0xf0f0f0f0);
      out[to] = first;
      out[to + itemBytes] = first >>> 8;
      out[to + 2 * itemBytes] = first >>> 16;
      out[to + 3 * itemBytes] = first >>> 24;
      out[to + 4 * itemBytes] = second;
      out[to + 5 * itemBytes] = second >>> 8;
      out[to + 6 * itemBytes] = second >>> 16;
      out[to + 7 * itemBytes] = second >>> 24;
    }
  }
}

/** Return the shortest time of some calls, in seconds. */
function shortest(work) {
  let least = Number.POSITIVE_INFINITY;
  for (const begin = performance.now(); performance.now() - begin < LEAST_MS; ) {
    const from = performance.now();
    work();
    least = Math.min(least, performance.now() - from);
  }
  return least / 1000;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { encoded, decoded, steps, bits } = JSON.parse(line);
  const expected = new Uint8Array(readFileSync(decoded));
  const data = new Uint8Array(readFileSync(encoded));
  const encoding = { decoded_bytes: expected.byteLength, steps: steps.map(([id, param]) => ({ id, param })) };
  await loadCodecs(encoding);
  let found = decode(encoding, data);
  const decode_s = steps.length ? shortest(() => decode(encoding, data)) : 0;
  let unshuffle_s = 0;
  if (bits) {
    const out = new Uint8Array(expected.byteLength);
    unshuffle_s = shortest(() => unshuffleBits(found, out, bits));
    found = out;
  }
  if (Buffer.compare(found, expected) !== 0) {
    throw new Error(`${encoded} does not decode to ${decoded}`);
  }
  console.log(JSON.stringify({ decode_s, unshuffle_s }));
}
