/** Saving of a decision: the part of the baseline's cost that it spares. */

import type { DecisionData } from "../api/optimizer.ts";
import { percent } from "../format/numbers.ts";

/** Return the part that is spared as predicted; 0: the decision is the baseline. */
export function predictedSaving({ predicted_s, baseline_s }: DecisionData): number {
  return savingOf(predicted_s, baseline_s);
}

/** Return the part that is spared as measured; null: it has not been measured. */
export function measuredSaving({ verdict: { measured_s, baseline_s } }: DecisionData): number | null {
  return measured_s === null || baseline_s === null ? null : savingOf(measured_s, baseline_s);
}

function savingOf(cost: number, baseline: number): number {
  return baseline > 0 ? 1 - cost / baseline : 0;
}

/** Return a saving in words. */
export function savingWords(saving: number | null): string {
  if (saving === null) {
    return "not measured yet";
  }
  return Math.abs(saving) < 0.005 ? "as the baseline" : `${percent(Math.abs(saving))} ${saving > 0 ? "less" : "more"}`;
}
