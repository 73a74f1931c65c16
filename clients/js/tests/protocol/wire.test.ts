import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { isData, isJson, Opcode, opcodeName, padded } from "../../src/protocol/wire.ts";
import { repositoryFile } from "../conformance/vectors.ts";

test("the opcodes and the kinds of their bodies are those of the specification", () => {
  const page = readFileSync(repositoryFile("spec/protocol.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(0x[0-9a-f]{2})` \| (\w+) \| \w+ \| (\w+) \|/gm)];
  expect(rows.map(([, opcode, name]) => [name, Number(opcode)])).toEqual(Object.entries(Opcode));
  for (const [, opcode, , body] of rows) {
    expect([isJson(Number(opcode)), isData(Number(opcode))]).toEqual([body === "JSON", body === "data"]);
  }
});

test("unknown opcodes have no name", () => {
  expect([opcodeName(0), opcodeName(0x7f), opcodeName(0x10)]).toEqual([undefined, undefined, "MESSAGE"]);
});

test("sizes are padded to the next unit of 8, however large", () => {
  expect([0, 1, 8, 9, 2 ** 40 + 1].map(padded)).toEqual([0, 8, 8, 16, 2 ** 40 + 8]);
});
