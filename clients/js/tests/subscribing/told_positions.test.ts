import { expect, test } from "vitest";
import { Received } from "../../src/messages/received.ts";
import { MAX_POSITIONS } from "../../src/protocol/wire.ts";
import type { SubscriptionCore } from "../../src/subscribing/subscription_core.ts";
import { ToldPositions } from "../../src/subscribing/told_positions.ts";
import { arrival, streamInfo } from "../fakes.ts";
import { newCore } from "./cores.ts";

/** Let a message of each of some streams wait, whose numbers are their ids. */
function waiting(core: SubscriptionCore, ids: readonly number[], offset = 0n): void {
  core.position.join(undefined, () => undefined);
  for (const id of ids) {
    const source = { name: `wf/${id}`, epoch: 1, kind: "event", observed: false } as const;
    core.position.announce(streamInfo({ id, stream: source.name, since: offset }));
    core.position.recordArrival(source.name, "event", 1, offset, 1);
    core.deliver(new Received(source, arrival({ offset }), 0n), 0, undefined, undefined);
  }
}

test("streams that have caught up come first, then new ones, and each only when it has changed", () => {
  const { core } = newCore();
  const told = new ToldPositions();
  waiting(core, [1, 2]);
  expect(told.changed([core])).toEqual([
    { stream: 1, behind: 1, offset: 0n },
    { stream: 2, behind: 1, offset: 0n },
  ]);
  expect(told.changed([core])).toEqual([]);
  core.takeMessage();
  waiting(core, [3]);
  expect(told.changed([core])).toEqual([
    { stream: 1, behind: 0, offset: 1n },
    { stream: 3, behind: 1, offset: 0n },
  ]);
});

test("more streams than a report takes have their turns, and as many are remembered as the gateway remembers", () => {
  const { core } = newCore();
  const told = new ToldPositions();
  waiting(core, [...Array(300).keys()]);
  const named = [1, 2, 3, 4, 5].map(() => told.changed([core]).map(({ stream }) => stream));
  expect(named.map(({ length }) => length)).toEqual([64, 64, 64, 64, 44]);
  expect(new Set(named.flat()).size).toBe(300);
  expect(told.changed([core]).map(({ stream }) => stream)).toEqual([...Array(44).keys()]);
  expect(MAX_POSITIONS).toBe(64);
});

test("of several subscriptions the one that is furthest behind counts", () => {
  const [one, other] = [newCore().core, newCore().core];
  waiting(one, [1], 5n);
  waiting(other, [1], 3n);
  expect(new ToldPositions().changed([one, other])).toEqual([{ stream: 1, behind: 3, offset: 3n }]);
});
