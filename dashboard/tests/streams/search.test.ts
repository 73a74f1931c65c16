import { expect, test } from "vitest";
import type { StreamData } from "../../src/api/streams.ts";
import { found, patternOf } from "../../src/streams/search.ts";

const STREAMS = ["train/Loss", "train/weights", "sim/field"].map((name) => ({ name }) as StreamData);

test.each([
  ["", 3],
  ["LOSS", 1],
  [" train ", 2],
  ["none", 0],
  ["train/*", 3], // the gateway has chosen
])("%o finds %s", (text, count) => {
  expect(found(STREAMS, text).length).toBe(count);
});

test("a text with a star is a pattern", () => {
  expect([patternOf("train/**"), patternOf("train")]).toEqual(["train/**", undefined]);
});
