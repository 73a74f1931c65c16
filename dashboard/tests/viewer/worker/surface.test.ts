import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Paced } from "../../../src/viewer/worker/surface.ts";

describe("a paced function", () => {
  const calls: number[] = [];
  const startMs = performance.now();
  let costMs = 0;

  function call(): void {
    calls.push(performance.now());
    vi.advanceTimersByTime(costMs);
  }

  beforeEach(() => {
    vi.useFakeTimers({ now: startMs });
    calls.length = 0;
    costMs = 0;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("is called at once, and again a period later, however often it is asked for", () => {
    const paced = new Paced(100, call);
    for (let index = 0; index < 25; index++) {
      paced.request();
      vi.advanceTimersByTime(10);
    }
    expect(calls.map((atMs) => atMs - calls[0])).toEqual([0, 100, 200]);
    vi.advanceTimersByTime(1000);
    expect(calls.length, "the last request is not lost").toBe(4);
  });

  test("is called less often if it takes longer than its share", () => {
    const paced = new Paced(100, call, 0.1);
    costMs = 30;
    paced.request();
    paced.request();
    vi.advanceTimersByTime(269);
    expect(calls.length).toBe(1);
    vi.advanceTimersByTime(1);
    expect(calls.length).toBe(2);
  });

  test("is not called any more when that was taken back", () => {
    const paced = new Paced(100, call);
    paced.request();
    paced.request();
    paced.cancel();
    vi.advanceTimersByTime(1000);
    expect(calls.length).toBe(1);
  });
});
