/** Views of the program as SUBSCRIBE has them; loaded by the first subscription that has one. */

import type { View } from "../options.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import { checkView } from "../protocol/views.ts";

/**
 * Return a view as SUBSCRIBE has it.
 *
 * @throws RequestRefused an impossible view.
 */
export function viewFields(view: View | undefined): JsonObject | undefined {
  if (!view) {
    return undefined;
  }
  const { slice, dtype, maxRateHz: max_rate_hz, tensor } = view;
  const named = { slice: slice as JsonObject[string], dtype, max_rate_hz, tensor };
  const fields = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)) as JsonObject;
  checkView(fields);
  return fields;
}
