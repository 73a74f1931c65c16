import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type LinkQuality, scoreOf } from "../../src/protocol/link_quality.ts";

const FILE = new URL("../../../../spec/vectors/scores/quality-score.jsonl", import.meta.url);

interface Scored {
  readonly about: string;
  readonly link: LinkQuality;
  readonly score: number;
}

const SCORES: readonly Scored[] = readFileSync(FILE, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

test.each(SCORES)("$about", ({ link, score }) => {
  expect(scoreOf(link)).toBeCloseTo(score, 12);
});

test("there are scores", () => {
  expect(SCORES.length).toBeGreaterThan(5);
});
