import { expect, test } from "vitest";
import type { Session } from "../../src/session/session.ts";
import { WaitingCalls } from "../../src/session/waiting_calls.ts";

test("calls wait for a session, for an error, or until they are given up", async () => {
  const calls = new WaitingCalls();
  const session = {} as Session;
  const aborting = new AbortController();
  const first = calls.wait(undefined);
  const givenUp = calls.wait(aborting.signal);
  aborting.abort(new Error("enough"));
  await expect(givenUp).rejects.toThrow("enough");
  calls.resolve(session);
  expect(await first).toBe(session);
  const second = calls.wait(undefined);
  calls.reject(new Error("closed"));
  await expect(second).rejects.toThrow("closed");
});
