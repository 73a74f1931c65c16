import { expect, test } from "vitest";
import { Ranges } from "../../src/subscribing/ranges.ts";
import { Random } from "../random.ts";

test("ranges hold what was put in, as few as possible", () => {
  const random = new Random(7);
  for (let round = 0; round < 50; round++) {
    const ranges = new Ranges();
    const model = new Set<number>();
    for (let step = 0; step < 30; step++) {
      const first = random.below(60);
      const last = first + random.below(4);
      ranges.add(BigInt(first), BigInt(last));
      for (let each = first; each <= last; each++) {
        model.add(each);
      }
    }
    const found = [...ranges].map(([first, last]) => [Number(first), Number(last)]);
    const all = found.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
    expect(all).toEqual([...model].sort((a, b) => a - b));
    expect(found.every(([first], index) => !index || first > found[index - 1][1] + 1)).toBe(true);
    expect(ranges.covers(BigInt(found[0][0]), BigInt(found[0][1]))).toBe(true);
    expect(ranges.covers(BigInt(found[0][0]), BigInt(found[0][1]) + 1n)).toBe(false);
  }
});

test("past the limit the lowest gap is closed", () => {
  const ranges = new Ranges(2);
  for (const number of [0n, 5n, 9n]) {
    ranges.add(number, number);
  }
  expect([...ranges]).toEqual([
    [0n, 5n],
    [9n, 9n],
  ]);
});
