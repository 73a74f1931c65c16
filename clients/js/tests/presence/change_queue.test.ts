import { expect, test } from "vitest";
import { ChangeQueue } from "../../src/presence/change_queue.ts";
import { RosterCopy } from "../../src/presence/roster_copy.ts";
import { member, members } from "./rosters.ts";

function following() {
  const roster = new RosterCopy();
  roster.take(members({ roster: true, members: [member("a")] }));
  const queue = new ChangeQueue(roster);
  const told = () => {
    const changes: string[] = [];
    for (let change = queue.take(); change; change = queue.take()) {
      changes.push(`${change.kind} ${change.member.clientId}`);
    }
    return changes;
  };
  return { queue, told, take: (change: Parameters<typeof members>[0]) => queue.note(roster.take(members(change))) };
}

test("changes are made when they are taken: what changed often is told once", () => {
  const { told, take } = following();
  expect(told()).toEqual(["joined a"]);
  take({ members: [member("b")] });
  take({ left: ["b"] });
  take({ members: [member("a", { peer: 2 })] });
  take({ members: [member("a", { peer: 3, metadata: { x: 1 } })] });
  expect(told()).toEqual(["updated a"]);
  take({ awareness: { a: { cursor: 1 } } });
  take({ awareness: { a: { cursor: 2 } } });
  expect(told()).toEqual(["awareness a"]);
  take({ awareness: { a: { cursor: 2 } } });
  expect(told()).toEqual([]);
});

test("a member of another generation has left and joined", () => {
  const { told, take } = following();
  told();
  take({ members: [member("a", { generation: 2 })] });
  expect(told()).toEqual(["left a", "joined a"]);
});

test("whoever waits is woken by a change and by the end, whose error comes behind what waits", async () => {
  const { queue, take } = following();
  expect((await queue.next())?.kind).toBe("joined");
  const next = queue.next();
  take({ left: ["a"] });
  expect((await next)?.kind).toBe("left");
  const last = queue.next();
  queue.end(undefined);
  expect(await last).toBeUndefined();
  const { queue: other } = following();
  other.end(new Error("refused"));
  expect((await other.next())?.kind).toBe("joined");
  await expect(other.next()).rejects.toThrow("refused");
});
