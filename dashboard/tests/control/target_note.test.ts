import { expect, test } from "vitest";
import { noteOf } from "../../src/control/target_note.tsx";

test.each([
  [null, "There is no such stream yet"],
  [{ kind: "state", consumers: 0, pending: 0 }, "kind state, which takes no commands"],
  [{ kind: "control", consumers: 0, pending: 0 }, "Nobody receives"],
  [{ kind: "control", consumers: 1, pending: 0 }, "Its commands go to 1 client: all acknowledged."],
  [{ kind: "control", consumers: 2, pending: 1 }, "Its commands go to 2 clients: 1 not acknowledged yet."],
] as const)("the note on %j", (stream, words) => {
  expect(noteOf(stream)).toContain(words);
});
