import { expect, test } from "vitest";
import { PublishQuality } from "../../src/sending/result.ts";

test("the score is that of the link at its best, and of what the publish waited for beyond", () => {
  const quality = new PublishQuality();
  expect(quality.score(100, 0.001, undefined)).toBeGreaterThan(0.99);
  quality.score(1_000_000, 1, 0.01);
  expect(quality.goodputBytesPerS).toBe(1_000_000);
  const [fast, slow] = [quality.score(1000, 0.011, 0.01), quality.score(1000, 0.511, 0.01)];
  expect(fast).toBeGreaterThan(slow);
  quality.score(100_000, 1, 0.01);
  expect(quality.goodputBytesPerS).toBe(1_000_000);
  quality.reset();
  expect(quality.goodputBytesPerS).toBeUndefined();
});
