import { expect, test } from "vitest";
import { VersionHistory } from "../../../src/viewer/worker/version_history.ts";

const version = (offset: number, bytes = 10, epoch = 1) => ({ offset, bytes, epoch });

function historyOf(...offsets: number[]) {
  const history = new VersionHistory<ReturnType<typeof version>>(1000, 100);
  for (const offset of offsets) {
    history.add(version(offset));
  }
  return history;
}

test("steps go through the versions that are kept, and no further", () => {
  const history = historyOf(3, 5, 9);
  expect(history.stepped(9, -1)?.offset).toBe(5);
  expect(history.stepped(5, -7)?.offset).toBe(3);
  expect(history.stepped(5, 1)?.offset).toBe(9);
  expect(history.stepped(9, 1)?.offset).toBe(9);
});

test("an offset that was conflated shows the version before it; one that is gone the oldest", () => {
  const history = historyOf(3, 5, 9);
  expect(history.at(7)?.offset).toBe(5);
  expect(history.at(1)?.offset).toBe(3);
  expect(history.before(version(9))?.offset).toBe(5);
  expect(history.before(version(3))).toBeUndefined();
});

test("the oldest versions go at the bounds of bytes and of number, the last two never", () => {
  const history = new VersionHistory(25, 3);
  for (let offset = 0; offset < 6; offset++) {
    history.add(version(offset));
  }
  expect([history.oldest?.offset, history.bytes]).toEqual([4, 20]);
  history.add(version(6, 1000));
  expect([history.size, history.bytes]).toEqual([2, 1010]);
});

test("the same version by another view takes its place, and an older one stands before", () => {
  const history = historyOf(3, 5, 9);
  history.add(version(5, 400));
  expect([history.size, history.bytes, history.newest?.offset]).toEqual([3, 420, 9]);
  history.add(version(4));
  expect(history.stepped(5, -1)?.offset).toBe(4);
});

test("another epoch begins anew", () => {
  const history = historyOf(3, 5);
  history.add(version(0, 10, 2));
  expect([history.size, history.newest?.offset, history.bytes]).toEqual([1, 0, 10]);
});
