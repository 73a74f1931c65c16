/** Presence and awareness, between clients of this library and a real gateway. */

import { expect, onTestFinished, test } from "vitest";
import { type Client, connect } from "../../src/client.ts";
import { RequestRefused, UsageError } from "../../src/errors.ts";
import type { PresenceChange } from "../../src/presence/change_queue.ts";
import type { Presence } from "../../src/presence/presence.ts";
import { CuttingProxy, startGateway, until } from "./gateway.ts";

async function connected(url: string, clientId?: string): Promise<Client> {
  const client = await connect(url, { backoff: { baseMs: 5, capMs: 20 }, ...(clientId && { clientId }) });
  onTestFinished(() => client.close());
  return client;
}

/** Collect the changes of a presence, as text. */
function collecting(presence: Presence): string[] {
  const told: string[] = [];
  void (async () => {
    for await (const change of presence.changes()) {
      told.push(textOf(change));
    }
    told.push("over");
  })();
  return told;
}

function textOf({ kind, member }: PresenceChange): string {
  return `${kind} ${member.clientId} ${JSON.stringify(kind === "awareness" ? member.awareness : member.metadata)}`;
}

test("members join, change, show what they do, and leave", async () => {
  const gateway = await startGateway();
  const watcher = await (await connected(gateway.url, "watcher")).presence("wf", { watch: "members" });
  const told = collecting(watcher);
  const member = await (await connected(gateway.url, "trainer")).presence("wf", { metadata: { role: "trainer" } });
  await until(() => told.length === 1);
  member.setAwareness({ cursor: [3, 4] });
  await until(() => told.length === 2);
  await member.update({ role: "judge" });
  await until(() => told.length === 3);
  expect([watcher.count, watcher.members.get("trainer")?.awareness]).toEqual([1, { cursor: [3, 4] }]);
  await member.close();
  await until(() => told.length === 4);
  await watcher.close();
  await until(() => told.length === 5);
  expect(told).toEqual([
    'joined trainer {"role":"trainer"}',
    'awareness trainer {"cursor":[3,4]}',
    'updated trainer {"role":"judge"}',
    'left trainer {"role":"judge"}',
    "over",
  ]);
});

test("a reconnect tells nothing of itself, and those only who have really come or gone", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const watching = await connected(proxy.url, "watcher");
  const watcher = await watching.presence("wf", { metadata: {}, watch: "members" });
  const told = collecting(watcher);
  const other = await connected(gateway.url, "other");
  await other.presence("wf", { metadata: { number: 1 } });
  await until(() => told.length === 2);
  await proxy.accept(false);
  await proxy.cut();
  await other.close();
  await (await connected(gateway.url, "newcomer")).presence("wf", { metadata: { number: 2 } });
  await proxy.accept(true);
  await until(() => told.length >= 4);
  expect(told.slice(0, 2).sort()).toEqual(['joined other {"number":1}', "joined watcher {}"]);
  const rest = told.slice(2).filter((text) => !text.startsWith("updated watcher")); // its peer has changed
  expect(rest.sort()).toEqual(['joined newcomer {"number":2}', 'left other {"number":1}']);
});

test("only the number is told to whoever watches that", async () => {
  const gateway = await startGateway();
  const counting = await (await connected(gateway.url)).presence("wf/loss", { watch: "count" });
  expect([counting.count, counting.scope, counting.members.size]).toEqual([0, "wf/loss", 0]);
  const member = await connected(gateway.url, "trainer");
  await member.presence("wf/loss", { metadata: {} });
  await until(() => counting.count === 1);
  await expect(member.presence("wf/loss", { watch: "count" })).rejects.toThrow(UsageError);
  await expect(member.presence("a b")).rejects.toThrow(RequestRefused);
  const large = { text: "x".repeat(5000) };
  await expect(member.presence("wf", { metadata: large })).rejects.toThrow(RequestRefused);
});
