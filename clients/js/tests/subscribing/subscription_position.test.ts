import { expect, test } from "vitest";
import { Code } from "../../src/errors.ts";
import type { Since } from "../../src/protocol/messages.ts";
import { type Gap, type StreamEnded, SubscriptionPosition } from "../../src/subscribing/subscription_position.ts";
import { streamInfo } from "../fakes.ts";

function position(since?: Since) {
  const gaps: Gap[] = [];
  const ended: StreamEnded[] = [];
  const found = new SubscriptionPosition(since, { gap: (gap) => gaps.push(gap), ended: (end) => ended.push(end) });
  found.ask();
  found.join(undefined, () => undefined);
  return { found, gaps, ended };
}

test("a reconnect asks for the next offset, with the counts so far", () => {
  const { found } = position();
  found.announce(streamInfo({ since: 5n }));
  expect(found.recordArrival("wf/a", "event", 1, 5n, 3)).toBe(0);
  found.leave();
  expect(found.recordArrival("wf/a", "event", 1, 8n, 1)).toBe(1);
  const [part] = found.ask() ?? [];
  expect(part).toMatchObject({ stream: "wf/a", position: [1, 8n], counts: { delivered: 3n } });
});

test("wanted messages that are gone are a gap, and so are offsets that are jumped over", () => {
  const { found, gaps } = position(2n);
  found.announce(streamInfo({ since: 5n }));
  found.recordArrival("wf/a", "event", 1, 7n, 1);
  found.skip({ stream: "wf/a", code: Code.EXPIRED, first: 7n, last: 9n }, 1);
  expect(gaps).toEqual([
    { stream: "wf/a", code: Code.HISTORY_LOST, first: 2n, last: 4n },
    { stream: "wf/a", code: Code.QUEUE_FULL, first: 5n, last: 6n },
    { stream: "wf/a", code: Code.EXPIRED, first: 8n, last: 9n },
  ]);
});

test("repetitions are left out, but not the keyframe of a version that failed", () => {
  const { found } = position();
  found.announce(streamInfo({ kind: "state", since: 5n }));
  found.recordArrival("wf/a", "state", 1, 5n, 1);
  expect(found.recordArrival("wf/a", "state", 1, 5n, 1)).toBe(1);
  expect(found.recordFailure("wf/a", 1, 6n, 1, true)).toBe(1);
  expect(found.recordArrival("wf/a", "state", 1, 6n, 1)).toBe(0);
  expect([...found.all()][0]).toMatchObject({ failed: 0n, duplicates: 1n, delivered: 2n });
});

test("the account goes on with the next stream of the name", () => {
  const { found, ended } = position();
  found.announce(streamInfo({ since: 0n }));
  found.recordArrival("wf/a", "event", 1, 0n, 2);
  found.end({ stream: "wf/a", epoch: 1, reason: "deleted" }, 7);
  found.announce(streamInfo({ id: 8, epoch: 2, since: 0n }));
  found.recordArrival("wf/a", "event", 2, 0n, 1);
  expect(found.counts.get("wf/a")).toMatchObject({ delivered: 3n });
  expect(ended).toEqual([{ stream: "wf/a", epoch: 1, reason: "deleted" }]);
  expect([found.idOf("wf/a"), found.endOf("wf/a", 2)]).toEqual([8, [8, 1n]]);
  expect(found.endOf("wf/a", 1)).toBeUndefined();
});

test("streams that ended without a connection are found when all others are announced", () => {
  const { found } = position();
  found.announce(streamInfo({ since: 0n }));
  found.announce(streamInfo({ id: 8, stream: "wf/b", since: 0n }));
  found.leave();
  found.ask();
  const gone: string[] = [];
  found.join(1n, (streams) => gone.push(...streams));
  found.announce(streamInfo({ since: 0n }));
  expect(gone).toEqual(["wf/b"]);
});

test("past 1024 streams that ended only their sums are kept", () => {
  const { found } = position();
  for (let number = 0; number < 1030; number++) {
    const stream = `wf/${number}`;
    found.announce(streamInfo({ id: number, stream, since: 0n }));
    found.recordArrival(stream, "event", 1, 0n, 1);
    found.end({ stream, epoch: 1, reason: "expired" }, number);
  }
  expect(found.counts.size).toBe(1024);
  const delivered = [...found.all()].reduce((sum, stream) => sum + stream.delivered, 0n);
  expect(delivered).toBe(1030n);
  found.leave();
  found.leave();
  expect(found.counts.size).toBe(1024);
});

test("a lower view takes the place of the other, and the next connection begins with the former", () => {
  const { found } = position();
  found.announce(streamInfo({ kind: "state", since: 4n, lowered: false, subscription: 1 }));
  found.recordArrival("wf/a", "state", 1, 4n, 1);
  found.announce(streamInfo({ kind: "state", id: 9, since: 6n, lowered: true, subscription: 1 }));
  expect([...found.lowered]).toEqual(["wf/a"]);
  found.recordArrival("wf/a", "state", 1, 6n, 1);
  found.leave();
  expect(found.ask()?.[0].position).toEqual([1, 6n]);
});

test("messages of an earlier stream of the name leave the position", () => {
  const { found } = position();
  found.announce(streamInfo({ epoch: 5, since: 3n }));
  found.recordArrival("wf/a", "event", 4, 90n, 1);
  expect(found.endOf("wf/a", 5)).toEqual([7, 3n]);
});
