import { expect, test } from "vitest";
import { Takers } from "../../src/messages/takers.ts";

test("items go to whoever waits longest", async () => {
  const takers = new Takers<number>();
  expect(takers.hand(0)).toBe(false);
  const [first, second] = [takers.next(), takers.next()];
  expect([takers.hand(1), takers.hand(2), takers.hand(3)]).toEqual([true, true, false]);
  expect([await first, await second]).toEqual([1, 2]);
});

test("the first end counts, for those that wait and those that come", async () => {
  const takers = new Takers<number>();
  const waiting = takers.next();
  takers.end(new Error("refused"));
  takers.end();
  await expect(waiting).rejects.toThrow("refused");
  await expect(takers.next()).rejects.toThrow("refused");
  const other = new Takers<number>();
  const last = other.next();
  other.end();
  expect([await last, await other.next(), other.over]).toEqual([undefined, undefined, true]);
});
