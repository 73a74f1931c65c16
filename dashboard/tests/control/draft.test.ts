import { describe, expect, test } from "vitest";
import { commandOf, contentText, EMPTY_DRAFT } from "../../src/control/draft.ts";

const DRAFT = { ...EMPTY_DRAFT, stream: " wf/commands ", headers: '{"action": "pause"}' };

describe("the command of a draft", () => {
  test("has headers, a tensor, or both", () => {
    expect(commandOf(DRAFT)).toEqual({
      command: { stream: "wf/commands", headers: { action: "pause" }, tensor: null },
    });
    expect(commandOf({ ...DRAFT, headers: "", dtype: "int32", numbers: "1, 2" })).toEqual({
      command: {
        stream: "wf/commands",
        headers: null,
        tensor: { dtype: "int32", shape: [2], array: Int32Array.of(1, 2) },
      },
    });
  });

  test.each([
    [{ stream: " " }, { stream: expect.stringContaining("name of its stream") }],
    [{ headers: "" }, { headers: expect.stringContaining("empty") }],
    [{ headers: "{action: 1}" }, { headers: expect.stringContaining("JSON") }],
    [{ headers: "[1]" }, { headers: expect.stringContaining("are an object") }],
    [{ headers: '{"id": 9007199254740993}' }, { headers: expect.stringContaining("the number of id is too large") }],
    [{ dtype: "uint8", numbers: "-1" }, { numbers: "-1 is no uint8" }],
    [
      { stream: "", headers: "1", dtype: "bool", numbers: "x" },
      { stream: expect.any(String), headers: expect.any(String), numbers: "x is no number" },
    ],
  ] as const)("%j has faults", (changes, faults) => {
    expect(commandOf({ ...DRAFT, ...changes })).toEqual({ faults });
  });

  test("is told in a few words", () => {
    expect(contentText(DRAFT)).toBe('{"action": "pause"}');
    expect(contentText({ ...DRAFT, dtype: "uint8", numbers: "1,\n2" })).toBe('{"action": "pause"} + uint8 1, 2');
    expect(contentText({ ...DRAFT, headers: "", dtype: "uint8", shape: "100, 100" })).toBe("uint8 [100, 100]");
  });
});
