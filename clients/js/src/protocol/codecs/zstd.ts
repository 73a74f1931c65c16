/**
 * `zstd`: one Zstandard frame with its content size (RFC 8878; spec section 10), by `zstddec`, loaded when first met.
 *
 * `zstddec` writes to memory of its own without asking how much there is, and answers errors with an empty array: sizes are
 * checked before it runs, and behind it.
 */

import type { ZSTDDecoder } from "zstddec";
import { UsageError } from "../../errors.ts";
import { viewOf } from "../buffers.ts";
import { type Compressor, checkRatio, corrupt } from "./abc.ts";

const MAGIC = 0xfd2fb528;
const DICTIONARY_BYTES = [0, 1, 2, 4];
const MAX_BLOCK_BYTES = 128 * 1024;
/** Decoded bytes of one frame that `zstddec` is trusted with: its memory ends at 2 GiB. Larger payloads come in chunks. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024;

let decoder: ZSTDDecoder | undefined;
let loading: Promise<void> | undefined;

export const ZSTD: Compressor = {
  name: "zstd",
  id: 2,
  parameters: [0, 0],
  // A block of 4 bytes repeats one byte up to 128 KiB times.
  maxRatio: 32768,

  get loaded() {
    return decoder !== undefined;
  },

  load() {
    loading ??= loadDecoder();
    return loading;
  },

  checkSize(data, decodedBytes) {
    const contentBytes = contentSize(data);
    if (contentBytes !== decodedBytes) {
      throw corrupt(`zstd frame of ${contentBytes} bytes where ${decodedBytes} bytes were declared`);
    }
    if (decodedBytes > MAX_FRAME_BYTES) {
      throw corrupt(`zstd frame of ${decodedBytes} bytes exceeds ${MAX_FRAME_BYTES}: such a payload comes in chunks`);
    }
    checkRatio(ZSTD, data, decodedBytes);
  },

  decodeInto(data, out) {
    if (!decoder) {
      throw new UsageError("zstd is not loaded: await loadCodecs(encoding) before decoding");
    }
    ZSTD.checkSize(data, out.byteLength);
    let decoded: Uint8Array;
    try {
      decoded = decoder.decode(data, out.byteLength);
    } catch (error) {
      throw corrupt(`zstd frame does not decode to ${out.byteLength} bytes: ${error}`);
    }
    if (decoded.byteLength !== out.byteLength) {
      throw corrupt(`zstd frame does not decode to ${out.byteLength} bytes`);
    }
    out.set(decoded);
  },
};

async function loadDecoder(): Promise<void> {
  try {
    const { ZSTDDecoder } = await import("zstddec");
    const fresh = new ZSTDDecoder();
    await fresh.init();
    decoder = fresh;
  } catch (error) {
    throw new UsageError(
      `zstd cannot be loaded: ${error}; allow 'wasm-unsafe-eval' and connect-src data: in the page's policy, ` +
        "or do not offer zstd",
    );
  }
}

/** Return the content size of data that is exactly one frame; the blocks are walked, not decoded. */
function contentSize(data: Uint8Array): number {
  const view = viewOf(data);
  const size = data.byteLength;
  if (size < 6 || view.getUint32(0, true) !== MAGIC) {
    throw corrupt("not a zstd frame");
  }
  const descriptor = data[4];
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionaryBytes = DICTIONARY_BYTES[descriptor & 3];
  const sizeBytes = descriptor >>> 6 ? 1 << (descriptor >>> 6) : Number(isSingle);
  const sizeAt = 5 + (isSingle ? 0 : 1) + dictionaryBytes;
  const blocksAt = sizeAt + sizeBytes;
  if (descriptor & 8 || dictionaryBytes || !sizeBytes || blocksAt > size) {
    throw corrupt("zstd frame without a content size, or with a dictionary");
  }
  if (endOf(view, blocksAt) + (descriptor & 4 ? 4 : 0) !== size) {
    throw corrupt(`zstd frame is cut off, or something follows it: ${size} bytes`);
  }
  switch (sizeBytes) {
    case 1:
      return data[sizeAt];
    case 2:
      return view.getUint16(sizeAt, true) + 256;
    case 4:
      return view.getUint32(sizeAt, true);
    default:
      return Number(view.getBigUint64(sizeAt, true));
  }
}

/** Return the end of the last block, or more than there is if it is missing. */
function endOf(view: DataView, blocksAt: number): number {
  for (let at = blocksAt; at + 3 <= view.byteLength; ) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const kind = (header >>> 1) & 3;
    const blockBytes = header >>> 3;
    if (kind === 3 || blockBytes > MAX_BLOCK_BYTES) {
      throw corrupt(`zstd block of type ${kind} and ${blockBytes} bytes`);
    }
    at += 3 + (kind === 1 ? 1 : blockBytes);
    if (header & 1) {
      return at;
    }
  }
  return Number.POSITIVE_INFINITY;
}
