import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import { firstWanted, StreamAccount } from "../../src/protocol/account.ts";
import type { Kind } from "../../src/protocol/messages.ts";

function started(kind: Kind, since = 10n): StreamAccount {
  const account = new StreamAccount(kind);
  account.start(1, undefined, since);
  return account;
}

test.each<[Kind, bigint, bigint]>([
  ["event", 0n, 3n],
  ["state", 3n, 0n],
])("offsets of a stream of kind %s that are jumped over", (kind, conflated, dropped) => {
  const account = started(kind);
  expect(account.messages(1, 13n, 2)).toEqual({ skipped: 3n, repeated: 0 });
  expect(account.counts).toMatchObject({ delivered: 2n, conflated, dropped });
});

test("messages that were there already do not count", () => {
  const account = started("event");
  account.messages(1, 10n, 5);
  expect(account.messages(1, 12n, 5)).toEqual({ skipped: 0n, repeated: 3 });
  expect(account.counts).toMatchObject({ delivered: 7n });
  expect(account.duplicates).toBe(3n);
});

test("messages from history count as replayed as well", () => {
  const account = started("event");
  account.replay(10n, 12n);
  account.messages(1, 10n, 5);
  expect(account.counts).toMatchObject({ delivered: 5n, replayed: 3n });
});

test("acknowledged messages come in any order and repeatedly", () => {
  const account = started("collaboration");
  account.messages(1, 12n, 1);
  account.replay(10n, 10n);
  account.messages(1, 10n, 1);
  expect(account.counts).toMatchObject({ delivered: 2n, dropped: 0n, replayed: 1n });
  expect(account.next).toBe(13n);
});

test("gaps count what was not counted before, by their reason", () => {
  const account = started("event");
  account.messages(1, 10n, 2);
  expect(account.gap(1, Code.QUEUE_FULL, 11n, 14n)).toBe(3n);
  expect(account.gap(1, Code.EXPIRED, 15n, 15n)).toBe(1n);
  expect(account.counts).toMatchObject({ delivered: 2n, dropped: 3n, expired: 1n });
});

test("a start behind the wanted offset is a loss, but of a state", () => {
  const [event, state] = [new StreamAccount("event"), new StreamAccount("state")];
  expect([event.start(1, 4n, 10n), state.start(1, 4n, 10n)]).toEqual([6n, 0n]);
  expect([event.next, state.next]).toEqual([10n, 4n]);
  expect(event.start(1, 20n, 15n)).toBe(0n);
});

test("another epoch starts anew", () => {
  const account = started("event");
  expect(account.messages(2, 3n, 1)).toEqual({ skipped: 0n, repeated: 0 });
});

test("the wanted offset is that of the position in the same epoch", () => {
  expect(firstWanted(undefined, "a/b", 1)).toBeUndefined();
  expect(firstWanted("beginning", "a/b", 1)).toBeUndefined();
  expect(firstWanted(7n, "a/b", 1)).toBe(7n);
  expect(firstWanted({ "a/b": [1, 5n] }, "a/b", 1)).toBe(5n);
  expect(firstWanted({ "a/b": [1, 5n] }, "a/b", 2)).toBe(0n);
  expect(firstWanted({}, "a/b", 2)).toBe(0n);
});
