import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { unlessAborted } from "../../src/session/aborting.ts";

test("work ends by itself or by its signal, on which nothing listens afterwards", async () => {
  const aborting = new AbortController();
  const { signal } = aborting;
  expect(await unlessAborted(Promise.resolve(7), signal)).toBe(7);
  await expect(unlessAborted(Promise.reject(new Error("failed")), signal)).rejects.toThrow("failed");
  expect(getEventListeners(signal, "abort")).toEqual([]);
  const waiting = unlessAborted(new Promise(() => undefined), signal);
  aborting.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await expect(unlessAborted(Promise.reject(new Error("late")), signal)).rejects.toThrow(/enough|late/);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});
