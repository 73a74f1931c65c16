/** Registry of all codecs, by wire id and by name (spec section 10). */

import { Code, RequestRefused } from "../../errors.ts";
import type { Compressor, Filter } from "./abc.ts";
import { DIFF8, DIFF16, DIFF32, DIFF64 } from "./diff.ts";
import { LZ4 } from "./lz4.ts";
import { NONE } from "./none.ts";
import { PCO } from "./pco.ts";
import { SHUFFLE } from "./shuffle.ts";
import { SNAPPY } from "./snappy.ts";
import { XOR } from "./xor.ts";
import { ZSTD } from "./zstd.ts";

/** The filters that need a base: a chain has at most one of them, and only the server uses them. */
const DELTAS: readonly Filter[] = [XOR, DIFF8, DIFF16, DIFF32, DIFF64];
/** Filters that this client undoes. */
export const FILTERS: readonly Filter[] = [SHUFFLE, ...DELTAS];
/** Compressors that this client decodes, without `none`, in the order of preference. */
export const OFFERED: readonly Compressor[] = [LZ4, ZSTD, SNAPPY];

const COMPRESSOR_BY_ID: ReadonlyMap<number, Compressor> = new Map(
  [NONE, ...OFFERED, PCO].map((codec) => [codec.id, codec]),
);
const FILTER_BY_ID: ReadonlyMap<number, Filter> = new Map(FILTERS.map((step) => [step.id, step]));
const DELTA_IDS: ReadonlySet<number> = new Set(DELTAS.map(({ id }) => id));

/** Return whether a step of this id is a delta filter. */
export function isDelta(id: number): boolean {
  return DELTA_IDS.has(id);
}

/** Return the compressor of a wire id; `undefined`: the id is none of a compressor. */
export function compressorOf(id: number): Compressor | undefined {
  return COMPRESSOR_BY_ID.get(id);
}

/**
 * Return the filter of a wire id.
 *
 * @throws RequestRefused `UNKNOWN_CODEC`.
 */
export function filterOf(id: number): Filter {
  const filter = FILTER_BY_ID.get(id);
  if (!filter) {
    throw new RequestRefused(Code.UNKNOWN_CODEC, `unknown codec id ${id}`);
  }
  return filter;
}
