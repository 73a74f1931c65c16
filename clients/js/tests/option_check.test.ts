/** Options of a program without types: what is misspelt, or of another type, is refused by name. */

import { expect, test } from "vitest";
import { Client, connect } from "../src/client.ts";
import { InvalidArgument } from "../src/errors.ts";
import { areKnown, CONNECT_OPTIONS, SUBSCRIBE_OPTIONS } from "../src/option_check.ts";
import { FakeWires, staged } from "./fakes.ts";

test.each([
  [{ connectTimeoutMs: "5s" }, "option connectTimeoutMs of connect is '5s', a string: give number"],
  [{ timeoutMs: Number.NaN }, "option timeoutMs of connect is 'NaN', a number: give 0 or more"],
  [{ maxPendingBytes: -1 }, "option maxPendingBytes of connect is '-1', a number: give 0 or more"],
  [{ onError: 3 }, "option onError of connect is '3', a number: give function"],
  [{ clientID: "page" }, "connect has no option 'clientID': use clientId"],
  [{ connectTimeout: 5 }, "connect has no option 'connectTimeout': use connectTimeoutMs"],
  [{ toString: 1 }, "connect has no option 'toString': known are clientType, clientId, token"],
  ["planner", "connect takes its options as an object, not as string"],
  [null, "connect takes its options as an object, not as null"],
])("connect with %o is refused", async (options, problem) => {
  const connecting = connect("ws://gateway", options as object);
  await expect(connecting).rejects.toThrow(InvalidArgument);
  await expect(connecting).rejects.toThrow(problem);
});

test.each([
  [{ onmessage: () => undefined }, "subscribe has no option 'onmessage': use onMessage"],
  [{ latest: "yes" }, "option latest of subscribe is 'yes', a string: give boolean"],
  [() => undefined, "subscribe takes its options as an object, not as function"],
])("subscribe with %o is refused", async (options, problem) => {
  const client = new Client((await staged()).parts);
  await expect(client.subscribe("wf/*", options as object)).rejects.toThrow(problem);
});

test("options that are absent, null or of one of several types are good", () => {
  expect(
    areKnown({ backoff: null, token: () => "", clientId: undefined, wires: new FakeWires() }, CONNECT_OPTIONS),
  ).toBe(true);
  expect(areKnown({ token: "x", timeoutMs: 0, maxPendingBytes: Number.POSITIVE_INFINITY }, CONNECT_OPTIONS)).toBe(true);
  for (const since of ["beginning", 3n, 3, { epoch: 1, offset: 2n }] as const) {
    expect(areKnown({ since }, SUBSCRIBE_OPTIONS)).toBe(true);
  }
});

test("calls whose code is loaded later check their options then", async () => {
  const client = new Client((await staged()).parts);
  const refused = (call: Promise<unknown>, problem: string): Promise<void> =>
    expect(call).rejects.toThrow(new InvalidArgument(problem));
  await refused(
    client.publish("wf/a", Int8Array.of(1), { durabilty: "os" } as object),
    "publish has no option 'durabilty': use durability",
  );
  await refused(
    client.request("agent:a", null, { timeout: 5 } as object),
    "a request has no option 'timeout': use timeoutMs",
  );
  await refused(client.inbox({ groups: "g" } as object), "inbox has no option 'groups': use group");
  await refused(
    client.presence("wf", { metaData: {}, wach: null } as object),
    "presence has no option 'metaData': use metadata",
  );
  await refused(
    client.delete("wf/*", { timeoutMs: "5s" } as object),
    "option timeoutMs of delete is '5s', a string: give number",
  );
  expect(() => client.publishNowait("wf/a", Int8Array.of(1), { header: {} } as object)).toThrow(
    "publishNowait has no option 'header': use headers",
  );
});
