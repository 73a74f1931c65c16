import { expect, test } from "vitest";
import { RosterCopy } from "../../src/presence/roster_copy.ts";
import { member, members } from "./rosters.ts";

test("a roster is known when its last part has come, and replaces the one before", () => {
  const roster = new RosterCopy();
  expect(roster.take(members({ count: 2, roster: true, more: true, members: [member("a")] }))).toEqual([]);
  expect([roster.complete, roster.ids, roster.count]).toEqual([false, [], 2]);
  expect(roster.take(members({ count: 2, members: [member("b")] }))).toEqual(["a", "b"]);
  expect([roster.complete, roster.ids]).toEqual([true, ["a", "b"]]);
  expect(roster.take(members({ count: 1, roster: true, members: [member("c")] })).sort()).toEqual(["a", "b", "c"]);
  expect(roster.ids).toEqual(["c"]);
});

test("changes apply in the order left, members, awareness", () => {
  const roster = new RosterCopy();
  roster.take(members({ roster: true, members: [member("a"), member("b")], awareness: { a: { x: 1 } } }));
  const change = members({
    left: ["b"],
    members: [member("b", { peer: 7 })],
    awareness: { b: { y: 2 }, a: null, gone: {} },
  });
  expect(roster.take(change)).toEqual(["b", "a", "gone"]);
  expect(roster.get("b")).toMatchObject({ peer: 7, awareness: { y: 2 } });
  expect([roster.get("a")?.awareness, roster.get("gone")]).toEqual([undefined, undefined]);
});
