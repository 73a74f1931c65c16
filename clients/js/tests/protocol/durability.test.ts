import { expect, test } from "vitest";
import { DURABILITIES, durabilityOf, levelOf } from "../../src/protocol/durability.ts";

test("each durability has its level", () => {
  expect(DURABILITIES.map(levelOf)).toEqual([0, 1, 2]);
  expect(DURABILITIES.map((durability) => durabilityOf(levelOf(durability)))).toEqual(DURABILITIES);
});

test("an unknown level counts as memory", () => {
  expect(durabilityOf(3)).toBe("memory");
});
