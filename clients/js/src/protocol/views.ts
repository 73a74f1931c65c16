/** Views: checks that need no tensor (spec section 4.5). */

import { Code, RequestRefused } from "../errors.ts";
import { DTYPES } from "./dtypes.ts";
import type { JsonObject, JsonValue } from "./exact_json.ts";
import { MAX_NDIM } from "./wire.ts";

const FIELDS: ReadonlySet<string> = new Set(["slice", "dtype", "max_rate_hz", "tensor"]);
const MIN_RATE_HZ = 0.001;
const MAX_RATE_HZ = 1000;

/**
 * Refuse a view that fits no tensor.
 *
 * @throws RequestRefused `INVALID_VIEW`.
 */
export function checkView(view: JsonObject | undefined): void {
  if (!view) {
    return;
  }
  const unknown = Object.keys(view).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) {
    throw invalid(`field '${unknown}' is none of a view`);
  }
  const { dtype, max_rate_hz: rate, slice } = view;
  if (dtype !== undefined && !(DTYPES as readonly JsonValue[]).includes(dtype)) {
    throw invalid(`dtype ${String(dtype)} is none: use one of ${DTYPES.join(", ")}`);
  }
  if (rate !== undefined && !(typeof rate === "number" && rate >= MIN_RATE_HZ && rate <= MAX_RATE_HZ)) {
    throw invalid(`a rate of ${String(rate)} Hz is not from ${MIN_RATE_HZ} to ${MAX_RATE_HZ}`);
  }
  if (slice !== undefined) {
    checkSlice(slice);
  }
}

function checkSlice(slice: JsonValue): void {
  if (!Array.isArray(slice)) {
    throw invalid("a slice is a list of indices, [start, stop, step] and '...'");
  }
  const items = slice as readonly JsonValue[];
  if (items.length > MAX_NDIM || items.filter((item) => item === "...").length > 1) {
    throw invalid(`a slice has at most ${MAX_NDIM} dimensions, and one '...'`);
  }
  for (const item of items) {
    const bounds = Array.isArray(item) ? (item as readonly JsonValue[]) : [item];
    const isRange = Array.isArray(item);
    const fits = bounds.every((bound) => Number.isSafeInteger(bound) || (isRange && bound === null));
    if (item !== "..." && (!fits || (isRange && (bounds.length !== 3 || bounds[2] === 0)))) {
      throw invalid(
        `index ${JSON.stringify(item)} is neither an integer nor [start, stop, step] with a step that is not 0`,
      );
    }
  }
}

function invalid(problem: string): RequestRefused {
  return new RequestRefused(Code.INVALID_VIEW, `view: ${problem}`);
}
