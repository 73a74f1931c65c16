import { expect, test } from "vitest";
import { csv } from "../../src/parts/csv.ts";

test("texts are quoted where they have to be, and none is a formula", () => {
  expect(
    csv(
      ["name", "value"],
      [
        ["a,b", 1],
        ['say "x"', null],
        ["=1+1", -2],
        ["two\nlines", true],
      ],
    ),
  ).toBe('name,value\r\n"a,b",1\r\n"say ""x""",\r\n\'=1+1,-2\r\n"two\nlines",true\r\n');
});
