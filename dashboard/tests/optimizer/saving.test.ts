import { expect, test } from "vitest";
import type { DecisionData } from "../../src/api/optimizer.ts";
import { measuredSaving, predictedSaving, savingWords } from "../../src/optimizer/saving.ts";

function decision(predicted_s: number, baseline_s: number, measured: number | null = null): DecisionData {
  return { predicted_s, baseline_s, verdict: { measured_s: measured, baseline_s: measured && 2 } } as DecisionData;
}

test("a saving is the part of the baseline that is spared", () => {
  expect(predictedSaving(decision(1, 4))).toBe(0.75);
  expect(predictedSaving(decision(0, 0))).toBe(0);
  expect(measuredSaving(decision(1, 4))).toBeNull();
  expect(measuredSaving(decision(1, 4, 3))).toBe(-0.5);
});

test.each([
  [0.25, "25 % less"],
  [-0.5, "50 % more"],
  [0.001, "as the baseline"],
  [null, "not measured yet"],
])("%s in words", (saving, words) => {
  expect(savingWords(saving)).toBe(words);
});
