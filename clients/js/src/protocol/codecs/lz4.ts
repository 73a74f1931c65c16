/**
 * `lz4`: the LZ4 block format without a size (spec section 10). Fast both ways; the default for live streams.
 *
 * In code of our own, because the packages that exist want another frame around the block, or are slower.
 */

import { type Compressor, checkRatio, corrupt } from "./abc.ts";

/** LZ4_MAX_INPUT_SIZE of the format. */
const MAX_BLOCK_BYTES = 0x7e000000;
const MIN_MATCH = 4;
/** Bytes up to which a loop copies faster than a call. */
const SHORT = 16;

// Rules of the format for the end of a block: the last match begins 12 bytes before it, and 5 literals are last.
const MATCH_LIMIT = 12;
const LAST_LITERALS = 5;
const HASH_BITS = 14;
const MAX_OFFSET = 0xffff;

export const LZ4: Compressor = {
  name: "lz4",
  id: 1,
  parameters: [0, 0],
  // Each further byte lengthens a match by 255 bytes.
  maxRatio: 255,
  loaded: true,
  load: () => Promise.resolve(),

  checkSize(data, decodedBytes) {
    if (decodedBytes > MAX_BLOCK_BYTES) {
      throw corrupt(`an lz4 block cannot hold ${decodedBytes} bytes`);
    }
    checkRatio(LZ4, data, decodedBytes);
  },

  decodeInto(data, out) {
    const end = decodeBlock(data, out);
    if (end !== out.byteLength) {
      throw corrupt(`lz4 block decodes to ${end} bytes, not to ${out.byteLength}`);
    }
  },
};

/** Decode a block and return the number of bytes written. Reads and writes nothing outside of the two arrays. */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop over short sequences, in which each call would count.
function decodeBlock(source: Uint8Array, out: Uint8Array): number {
  const size = source.length;
  const room = out.length;
  let from = 0;
  let to = 0;
  if (!size) {
    throw corrupt("lz4 block of 0 bytes");
  }
  while (from < size) {
    const token = source[from++];
    let literals = token >>> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255) {
        more = source[from++]; // behind the end `undefined`, which makes the sum NaN: no comparison with it is true
        literals += more;
      }
    }
    if (literals !== 0) {
      if (!(literals <= size - from && literals <= room - to)) {
        throw bad(size, room);
      }
      if (literals <= SHORT) {
        for (const end = to + literals; to < end; ) {
          out[to++] = source[from++];
        }
      } else {
        out.set(source.subarray(from, from + literals), to);
        from += literals;
        to += literals;
      }
    }
    if (from === size) {
      return to;
    }
    const offset = source[from] | (source[from + 1] << 8);
    from += 2;
    let length = (token & 15) + MIN_MATCH;
    if (length === 15 + MIN_MATCH) {
      let more = 255;
      while (more === 255) {
        more = source[from++];
        length += more;
      }
    }
    if (!(from <= size && offset > 0 && offset <= to && length <= room - to)) {
      throw bad(size, room);
    }
    copyMatch(out, to, offset, length);
    to += length;
  }
  return to;
}

/** Repeat `length` bytes from `offset` bytes before `to`; they overlap their copy where the match is longer. */
function copyMatch(out: Uint8Array, to: number, offset: number, length: number): void {
  const end = to + length;
  if (length <= SHORT) {
    for (let at = to; at < end; at++) {
      out[at] = out[at - offset];
    }
  } else if (offset >= length) {
    out.copyWithin(to, to - offset, end - offset);
  } else if (offset === 1) {
    out.fill(out[to - 1], to, end);
  } else {
    // Each copy doubles what repeats.
    const from = to - offset;
    for (let at = to; at < end; ) {
      const step = Math.min(at - from, end - at);
      out.copyWithin(at, from, from + step);
      at += step;
    }
  }
}

function bad(size: number, room: number): Error {
  return corrupt(`lz4 block of ${size} bytes does not decode to ${room} bytes`);
}

/**
 * Compress to one block.
 *
 * @returns the block; `undefined`: it would be larger than `maxBytes`, so that encoding does not pay.
 */
export function encodeLz4(data: Uint8Array, maxBytes = data.length): Uint8Array | undefined {
  const out = new BlockWriter(maxBytes);
  const table = new Int32Array(1 << HASH_BITS).fill(-1);
  const limit = data.length - MATCH_LIMIT;
  const matchEnd = data.length - LAST_LITERALS;
  let anchor = 0;
  let misses = 0;
  for (let at = 0; at <= limit; ) {
    const four = wordAt(data, at);
    const slot = Math.imul(four, 0x9e3779b1) >>> (32 - HASH_BITS);
    const candidate = table[slot];
    table[slot] = at;
    if (candidate < 0 || at - candidate > MAX_OFFSET || wordAt(data, candidate) !== four) {
      // Data that does not repeat is passed faster and faster.
      at += 1 + (misses++ >>> 6);
      continue;
    }
    misses = 0;
    let end = at + MIN_MATCH;
    for (let same = candidate + MIN_MATCH; end < matchEnd && data[end] === data[same]; same++) {
      end++;
    }
    if (!out.sequence(data.subarray(anchor, at), at - candidate, end - at)) {
      return undefined;
    }
    anchor = at = end;
  }
  return out.sequence(data.subarray(anchor), 0, 0) ? out.written() : undefined;
}

function wordAt(data: Uint8Array, at: number): number {
  return data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24);
}

class BlockWriter {
  readonly #out: Uint8Array;
  #at = 0;

  constructor(maxBytes: number) {
    this.#out = new Uint8Array(maxBytes);
  }

  /** Write literals and the match behind them; a match of length 0 ends the block. Return whether there was room. */
  sequence(literals: Uint8Array, offset: number, length: number): boolean {
    const long = Math.max(0, length - MIN_MATCH);
    const matchBytes = length ? 2 + lengthBytes(long) : 0;
    if (this.#at + 1 + lengthBytes(literals.length) + literals.length + matchBytes > this.#out.length) {
      return false;
    }
    this.#out[this.#at++] = (Math.min(literals.length, 15) << 4) | Math.min(long, 15);
    this.#length(literals.length);
    this.#out.set(literals, this.#at);
    this.#at += literals.length;
    if (length) {
      this.#out[this.#at++] = offset & 0xff;
      this.#out[this.#at++] = offset >>> 8;
      this.#length(long);
    }
    return true;
  }

  written(): Uint8Array {
    return this.#out.subarray(0, this.#at);
  }

  #length(length: number): void {
    if (length >= 15) {
      let rest = length - 15;
      for (; rest >= 255; rest -= 255) {
        this.#out[this.#at++] = 255;
      }
      this.#out[this.#at++] = rest;
    }
  }
}

/** Return the bytes that a length takes behind its token. */
function lengthBytes(length: number): number {
  return length < 15 ? 0 : 1 + Math.floor((length - 15) / 255);
}
