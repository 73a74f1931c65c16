/** A page imports the client from a running gateway, which is another origin than its own, and works with it. */

import { expect, inject, onTestFinished, test } from "vitest";
import { commands } from "vitest/browser";
import type * as page from "../../src/page.ts";

const ADDRESS = `${inject("adminUrl")}/client/frys.js`;

async function imported(): Promise<typeof page> {
  return import(/* @vite-ignore */ ADDRESS);
}

test("a page imports the client from the gateway", async () => {
  const { Tensor } = await imported();
  expect(Tensor.from(Float32Array.of(1, 2)).slice([1]).toNested()).toEqual([2]);
});

test.each([
  ["zstd", undefined],
  ["snappy", undefined],
  ["zstd", false],
])("it decodes what comes by %s, with worker: %s", async (codec, worker) => {
  const { connect, Tensor } = await imported();
  const url = inject("url");
  const stream = `bundle-${codec}-${worker}/field`;
  const client = await connect(url, worker === undefined ? {} : { worker });
  onTestFinished(() => client.close());
  await commands.publishStates(url, stream, { hz: 1000, seconds: 0.003, shape: [10_000], codec });
  const subscription = await client.subscribe(stream);
  for await (const message of subscription) {
    expect(message.tensor).toBeInstanceOf(Tensor);
    expect([message.tensor.shape, message.tensor.at(9999)]).toEqual([[10_000], 3]);
    break;
  }
  if (worker === false) {
    const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
    expect(loaded).toContainEqual(expect.stringContaining("/client/zstddec-"));
  }
});

test("code to publish is loaded by the first publish", async () => {
  const loaded = (): string[] =>
    performance
      .getEntriesByType("resource")
      .map(({ name }) => /\/client\/(\w+)-[\w-]{8}\.js$/.exec(name)?.[1] ?? "")
      .filter((part) => ["client", "sending", "requests_part", "presences", "views"].includes(part));
  expect(loaded()).toEqual(["client"]);
  const { connect } = await imported();
  const client = await connect(inject("url"));
  onTestFinished(() => client.close());
  client.publishNowait("bundle-sending/field", Float32Array.of(1));
  expect(await client.publish("bundle-sending/field", Float32Array.of(2))).toMatchObject({ offset: 1n });
  expect(loaded()).toEqual(["client", "sending"]);
});
