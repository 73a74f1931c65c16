import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { actionOf, Code, nameOf, PeerError, ProtocolViolation, RequestRefused } from "../src/errors.ts";
import { repositoryFile } from "./conformance/vectors.ts";

const SPECIFICATION = readFileSync(repositoryFile("spec/protocol.md"), "utf8");

test("the codes are those of the specification", () => {
  const section = SPECIFICATION.split("### 12.1 The codes\n")[1].split("\n### ")[0];
  const rows = [...section.matchAll(/^\| (\d{4}) \| `?([A-Z_]+)`? \|/gm)].map(([, code, name]) => [name, Number(code)]);
  const own = Object.entries(Code).filter(([, code]) => code >= 4000);
  expect(rows.filter(([, code]) => Number(code) >= 4000)).toEqual(own);
});

test.each([
  [4001, "reconnect"],
  [4102, "reconnect_later"],
  [4204, "do_not_reconnect"],
  [4300, "refresh_token"],
  [4999, "do_not_reconnect"],
  [5104, "reconnect_later"],
  [1000, "do_not_reconnect"],
  [1006, "reconnect"],
])("the action after %i is %s", (code, action) => {
  expect(actionOf(code)).toBe(action);
});

test("an error names its code", () => {
  const error = new RequestRefused(Code.QUEUE_FULL, "the queue is full", 2);
  expect(error.message).toBe("the queue is full (QUEUE_FULL, code 5100)");
  expect([error.code, error.action, error.retryAfterS, error.name]).toEqual([
    5100,
    "reconnect_later",
    2,
    "RequestRefused",
  ]);
  expect(error).toBeInstanceOf(PeerError);
  expect(error).not.toBeInstanceOf(ProtocolViolation);
  expect(nameOf(5199)).toBe("CODE_5199");
});
