/** `snappy`: the Snappy raw format, for peers that have no lz4 (spec section 10), by `hysnappy`, loaded when first met. */

import { UsageError } from "../../errors.ts";
import { type Compressor, checkRatio, corrupt } from "./abc.ts";

const MAX_PREAMBLE_BYTES = 5;

type Uncompress = (input: Uint8Array, outputLength: number) => Uint8Array;

let uncompress: Uncompress | undefined;
let loading: Promise<void> | undefined;

export const SNAPPY: Compressor = {
  name: "snappy",
  id: 3,
  parameters: [0, 0],
  // The densest element takes 3 bytes and copies 64.
  maxRatio: 22,

  get loaded() {
    return uncompress !== undefined;
  },

  load() {
    loading ??= loadDecoder();
    return loading;
  },

  checkSize(data, decodedBytes) {
    const preambleBytes = declaredSize(data);
    if (preambleBytes !== decodedBytes) {
      throw corrupt(`snappy block of ${preambleBytes} bytes where ${decodedBytes} bytes were declared`);
    }
    checkRatio(SNAPPY, data, decodedBytes);
  },

  decodeInto(data, out) {
    if (!uncompress) {
      throw new UsageError("snappy is not loaded: await loadCodecs(encoding) before decoding");
    }
    SNAPPY.checkSize(data, out.byteLength);
    checkElements(data, out.byteLength);
    try {
      out.set(uncompress(data, out.byteLength));
    } catch (error) {
      throw corrupt(`snappy block does not decode to ${out.byteLength} bytes: ${error}`);
    }
  },
};

async function loadDecoder(): Promise<void> {
  try {
    const { snappyUncompressor } = await import("hysnappy");
    uncompress = snappyUncompressor();
  } catch (error) {
    throw new UsageError(
      `snappy cannot be loaded: ${error}; allow 'wasm-unsafe-eval' in the page's policy, or do not offer snappy`,
    );
  }
}

/** Return the decoded size from the preamble: a little-endian base-128 number of at most five bytes. */
function declaredSize(data: Uint8Array): number {
  let size = 0;
  for (let index = 0; index < preambleEnd(data); index++) {
    size += (data[index] & 0x7f) * 2 ** (7 * index);
  }
  return size;
}

function preambleEnd(data: Uint8Array): number {
  const last = data.subarray(0, MAX_PREAMBLE_BYTES).findIndex((byte) => byte < 0x80);
  if (last < 0) {
    throw corrupt("snappy block without a complete preamble");
  }
  return last + 1;
}

/**
 * Refuse a block with an element that reaches outside of the data, or of the bytes before it.
 *
 * `hysnappy` keeps both in one memory and checks neither, so that a damaged block would show bytes of earlier messages.
 */
function checkElements(data: Uint8Array, decodedBytes: number): void {
  const size = data.byteLength;
  let to = 0;
  let from = preambleEnd(data);
  while (from < size) {
    const tag = data[from++];
    const kind = tag & 3;
    const upper = tag >>> 2;
    let length = upper + 1;
    if (kind === 0) {
      const lengthBytes = Math.max(0, upper - 59);
      if (lengthBytes) {
        length = 1 + numberAt(data, from, lengthBytes);
        from += lengthBytes;
      }
      from += length;
    } else {
      const offsetBytes = kind === 3 ? 4 : kind;
      let offset = numberAt(data, from, offsetBytes);
      if (kind === 1) {
        length = (upper & 7) + 4;
        offset += (tag >>> 5) << 8;
      }
      from += offsetBytes;
      if (!(offset > 0 && offset <= to)) {
        throw corrupt(`snappy block copies from ${offset} bytes before byte ${to}`);
      }
    }
    to += length;
  }
  if (from !== size || to !== decodedBytes) {
    throw corrupt(`snappy block of ${size} bytes decodes to ${to} bytes, not to ${decodedBytes}`);
  }
}

/** Return a little-endian number of up to four bytes; NaN past the end, which no check lets pass. */
function numberAt(data: Uint8Array, at: number, size: number): number {
  if (at + size > data.byteLength) {
    return Number.NaN;
  }
  let number = 0;
  for (let index = 0; index < size; index++) {
    number += data[at + index] * 2 ** (8 * index);
  }
  return number;
}
