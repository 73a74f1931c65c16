/** Interfaces of codecs: compressors, which change the size, and filters, which do not (spec section 10). */

import { Code, RequestRefused } from "../../errors.ts";

/** Step of a chain, known by its name and its number. */
export interface Codec {
  /** Name in negotiation. */
  readonly name: string;
  /** Number on the wire. */
  readonly id: number;
  /** Smallest and largest value of the parameter. */
  readonly parameters: readonly [smallest: number, largest: number];
}

/** Last step of a chain: makes the data smaller. */
export interface Compressor extends Codec {
  /** Decoded bytes that one encoded byte can stand for at most; a payload that declares more is lying. */
  readonly maxRatio: number;
  /** False until {@link Compressor.load} is done, for those that are loaded when first met. */
  readonly loaded: boolean;

  /**
   * Load what decoding needs.
   *
   * @throws UsageError the page forbids it.
   */
  load(): Promise<void>;

  /**
   * Refuse data whose own header contradicts `decodedBytes`, without decompressing.
   *
   * @throws RequestRefused `CORRUPT_PAYLOAD`.
   */
  checkSize(data: Uint8Array, decodedBytes: number): void;

  /**
   * Decompress into `out`, which the data has to fill exactly; the caller has called {@link Compressor.checkSize}.
   *
   * @throws RequestRefused `CORRUPT_PAYLOAD`, the data is damaged or decodes to another size.
   * @throws UsageError the compressor is not loaded.
   */
  decodeInto(data: Uint8Array, out: Uint8Array): void;
}

/** A step that keeps the size and makes the data easier to compress. */
export interface Filter extends Codec {
  /**
   * Write the original of filtered data to `out`, which has the same size and does not overlap it.
   *
   * @param base the payload that the data is a delta to; used by delta filters only.
   * @throws RequestRefused `CORRUPT_PAYLOAD`, the base that the data refers to is missing or has another size.
   */
  decodeInto(data: Uint8Array, out: Uint8Array, parameter: number, base: Uint8Array | undefined): void;
}

/** Return the error for encoded data that does not decode to its declared size. */
export function corrupt(message: string): RequestRefused {
  return new RequestRefused(Code.CORRUPT_PAYLOAD, message);
}

/**
 * Refuse a declared size that the format cannot reach from `data`.
 *
 * Otherwise a few bytes that declare the largest message would make the receiver allocate it.
 */
export function checkRatio(compressor: Compressor, data: Uint8Array, decodedBytes: number): void {
  if (decodedBytes > data.byteLength * compressor.maxRatio) {
    throw corrupt(`${data.byteLength} bytes of ${compressor.name} cannot decode to ${decodedBytes} bytes`);
  }
}

/** Return the base of a delta, which has to have the size of the data. */
export function checkedBase(data: Uint8Array, distance: number, base: Uint8Array | undefined): Uint8Array {
  if (base === undefined || base.byteLength !== data.byteLength) {
    const size = base === undefined ? "not known" : `${base.byteLength} bytes`;
    throw corrupt(`delta of ${data.byteLength} bytes to the message ${distance} before, whose size is ${size}`);
  }
  return base;
}
