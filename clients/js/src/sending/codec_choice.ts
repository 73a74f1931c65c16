/** Codec choice: the encoding of the messages of one queue, where the program leaves it to a sample (`spec/client.md`, section 4). */

import { encode } from "../protocol/encoding.ts";
import type { Content } from "./content.ts";

/** Payload below which an encoding costs more than it saves, and is not tried. */
const MIN_BYTES = 16 * 1024;
/** Messages of one dtype and shape that are sent alike before the next sample is taken. */
const RESAMPLE_AFTER = 64;
/** Payload between two samples up to which the number of messages doubles while no sample pays. */
const RESAMPLE_BYTES = 64 * 1024 * 1024;
/** Ratio, encoded over plain, up to which an encoding is used. */
const WORTH_IT = 0.7;
/** Places of the slices of a sample, in parts of the last one: no distance twice, since payloads repeat themselves. */
const SLICES_AT = [0, 211, 467, 743, 1009];
const SLICE_BYTES = 8 * 1024;
/** Multiple of every element size: the sample is shuffled as the payload. */
const SLICE_MULTIPLE = 16;

/** Way of encoding: bytes of the elements that are shuffled before lz4; 1: not shuffled; undefined: sent plain. */
export type Way = number | undefined;

export class CodecChoice {
  #way: Way;
  #left = 0;
  #interval = RESAMPLE_AFTER;
  #signature = "";

  /** Return the way of a message; takes a sample if those before it do not tell. */
  of(content: Content): Way {
    const { byteLength } = content.payload;
    if (byteLength < MIN_BYTES) {
      return undefined;
    }
    const signature = content.specs.map(({ dtype, shape }) => `${dtype} ${shape}`).join();
    const isSame = signature === this.#signature;
    if (!isSame || !this.#left) {
      const way = wayOf(content);
      const isInVain = isSame && way === undefined && this.#way === undefined;
      const doubled = Math.min(2 * this.#interval, Math.floor(RESAMPLE_BYTES / byteLength));
      this.#interval = isInVain ? Math.max(RESAMPLE_AFTER, doubled) : RESAMPLE_AFTER;
      this.#way = way;
      this.#signature = signature;
      this.#left = this.#interval;
    }
    this.#left--;
    return this.#way;
  }
}

/** Return the way that makes a sample of at most 40 KiB smallest, if that is worth it. */
function wayOf({ payload, itemBytes }: Content): Way {
  const sample = sampleOf(payload);
  let way: Way;
  let most = WORTH_IT * sample.byteLength;
  for (const tried of new Set([1, itemBytes])) {
    const size = encode(sample, tried)?.data.byteLength ?? sample.byteLength;
    if (size <= most) {
      [way, most] = [tried, size - 1];
    }
  }
  return way;
}

function sampleOf(payload: Uint8Array): Uint8Array {
  if (payload.byteLength <= SLICES_AT.length * SLICE_BYTES) {
    return payload;
  }
  const sample = new Uint8Array(SLICES_AT.length * SLICE_BYTES);
  const last = payload.byteLength - SLICE_BYTES;
  SLICES_AT.forEach((at, index) => {
    const place = Math.floor((last * at) / SLICES_AT[SLICES_AT.length - 1]);
    const start = place - (place % SLICE_MULTIPLE);
    sample.set(payload.subarray(start, start + SLICE_BYTES), index * SLICE_BYTES);
  });
  return sample;
}
