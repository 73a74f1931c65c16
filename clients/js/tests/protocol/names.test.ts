import { expect, test } from "vitest";
import { Code, InvalidArgument } from "../../src/errors.ts";
import { checkClientId, checkPattern, checkPublishedName, matcherOf } from "../../src/protocol/names.ts";

const INVALID = expect.objectContaining({ code: Code.INVALID_NAME });

test.each(["wf/a", "wf-42/loss/x.y_z", `wf/${"a".repeat(252)}`])("%s is a name", (name) => {
  expect(checkPublishedName(name)).toBe(name);
});

test.each(["wf", "/a", "wf/", "wf//a", "wf/a b", "wf/..", "./a", "wf/*", "wf/ä", `wf/${"a".repeat(253)}`, "wf/a\n"])(
  "%j is no name",
  (name) => {
    expect(() => checkPublishedName(name)).toThrow(INVALID);
  },
);

test("only the gateway publishes dead letters", () => {
  expect(() => checkPublishedName("wf/tasks.dead")).toThrow(expect.objectContaining({ code: Code.FORBIDDEN }));
});

test("client ids", () => {
  expect(checkClientId("Trainer.1")).toBe("Trainer.1");
  expect(() => checkClientId("a".repeat(129))).toThrow(INVALID);
  expect(() => checkPattern(7 as unknown as string)).toThrow(InvalidArgument);
});

test.each<[string, string[], string[]]>([
  ["wf/a", ["wf/a"], ["wf/b", "wf/a/b"]],
  ["wf/*", ["wf/a"], ["wf/a/b", "x/a"]],
  ["*/loss", ["wf/loss"], ["wf/a/loss"]],
  ["wf/**", ["wf/a", "wf/a/b"], ["wg/a"]],
  ["**", ["wf/a", "a/b/c"], []],
  ["wf/*.dead", ["wf/a.dead"], ["wf/adead", "wf/a/b.dead"]],
  ["**.dead", ["wf/a.dead", "wf/a/b.dead"], ["wf/dead"]],
])("%s", (pattern, matching, others) => {
  const matches = matcherOf(checkPattern(pattern));
  expect(matching.filter(matches)).toEqual(matching);
  expect(others.filter(matches)).toEqual([]);
});

test.each(["wf", "wf/a*", "wf/**/a", "*", "wf/***"])("%s is no pattern", (pattern) => {
  expect(() => checkPattern(pattern)).toThrow(INVALID);
});
