import { describe, expect, test } from "vitest";
import { continued, KEPT_LINES, type LogLevel, type LogLine, matching } from "../../src/control/log_follower.ts";

function line(seq: number, timeS: number, level: LogLevel = "info", text = `line ${seq}`): LogLine {
  return { seq, time_s: timeS, level, logger: "gateway.app", text };
}

describe("lines of the log", () => {
  test("follow those that are there, and none comes twice", () => {
    const before = [line(1, 10), line(2, 11)];
    expect(continued(before, [line(2, 11), line(3, 11)]).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(continued([], before)).toEqual(before);
  });

  test("of a gateway that has started anew are taken though it counts from 1 again", () => {
    expect(continued([line(1, 10), line(2, 11)], [line(1, 15)]).map(({ time_s }) => time_s)).toEqual([10, 11, 15]);
  });

  test("that are too many drive out the oldest", () => {
    const before = Array.from({ length: KEPT_LINES }, (_, index) => line(index + 1, index));
    const after = continued(before, [line(KEPT_LINES + 1, KEPT_LINES)]);
    expect([after.length, after[0].seq, after.at(-1)?.seq]).toEqual([KEPT_LINES, 2, KEPT_LINES + 1]);
  });

  test("are found by level and text", () => {
    const lines = [line(1, 1, "debug"), line(2, 2, "warning", "Disk is full"), line(3, 3, "error")];
    expect(matching(lines, "warning", "").map(({ seq }) => seq)).toEqual([2, 3]);
    expect(matching(lines, "debug", "DISK").map(({ seq }) => seq)).toEqual([2]);
    expect(matching(lines, "debug", "gateway.app")).toEqual(lines);
  });
});
