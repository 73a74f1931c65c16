/** Connections that are lost, gateways that are restarted: nothing twice, nothing out of order, nothing lost without a word. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Client, connect } from "../../src/client.ts";
import { Code, ConnectionClosed } from "../../src/errors.ts";
import type { Message } from "../../src/messages/message.ts";
import type { ClientOptions } from "../../src/options.ts";
import type { Gap } from "../../src/subscribing/subscription_position.ts";
import { CuttingProxy, startGateway, until } from "./gateway.ts";

const QUICK = { baseMs: 5, capMs: 20, laterMs: 10 };

async function connected(url: string, options: ClientOptions = {}): Promise<Client> {
  const client = await connect(url, { backoff: QUICK, ...options });
  onTestFinished(() => client.close());
  return client;
}

function numberIn(message: Message | undefined): number {
  const data = message?.tensor.data ?? [];
  const [first] = data;
  expect([...data].every((element) => element === first)).toBe(true);
  return Number(first);
}

/** Return whether a message has these elements: comparing millions of them one by one takes seconds. */
function isSame(message: Message | undefined, value: Float32Array): boolean {
  return Buffer.from(value.buffer).equals(message?.tensor.bytes ?? new Uint8Array(0));
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "frys-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

test("events that were published meanwhile are received behind a cut, each once and in order", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(gateway.url);
  const reader = await connected(proxy.url, { clientId: "reader" });
  const gaps: Gap[] = [];
  const subscription = await reader.subscribe("wf/*", { onGap: (gap) => gaps.push(gap) });
  const seen: number[] = [];
  for (let number = 0; number < 30; number++) {
    await publisher.publish("wf/log", new Int32Array(number % 5 ? 10 : 100_000).fill(number), { kind: "event" });
    if (number % 7 === 3) {
      await proxy.cut();
    }
    if (number % 3 === 0) {
      seen.push(numberIn(await subscription.next()));
    }
  }
  while (seen.length < 30) {
    seen.push(numberIn(await subscription.next()));
  }
  expect(seen).toEqual(Array.from({ length: 30 }, (_, number) => number));
  expect(gaps).toEqual([]);
  expect(await reader.account(subscription)).toEqual(subscription.account);
});

test("publishes are acknowledged once and keep their order over cuts and lost answers", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(proxy.url);
  const reader = await connected(gateway.url, { clientId: "reader" });
  const subscription = await reader.subscribe("wf/*", { since: "beginning" });
  const results = [];
  for (let number = 0; number < 24; number++) {
    if (number % 6 === 2) {
      await proxy.swallow("TO_CLIENT"); // the publish arrives, its answer does not
    }
    const size = number % 4 ? 50 : 700_000;
    results.push(publisher.publish("wf/log", new Int32Array(size).fill(number), { kind: "event" }));
    if (number % 6 === 4) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      await proxy.cut();
    }
  }
  await proxy.cut();
  const offsets = (await Promise.all(results)).map(({ offset }) => offset);
  expect(offsets).toEqual(Array.from({ length: 24 }, (_, number) => BigInt(number)));
  for (let number = 0; number < 24; number++) {
    const message = await subscription.next();
    expect([message?.offset, numberIn(message)]).toEqual([BigInt(number), number]);
  }
});

test("a large message that is cut goes on with the chunks that the gateway lacks", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(proxy.url);
  const reader = await connected(gateway.url);
  const subscription = await reader.subscribe("wf/weights");
  await proxy.cutAfter("TO_GATEWAY", 5_000_000);
  const value = Float32Array.from({ length: 2_000_000 }, (_, index) => index);
  const result = await publisher.publish("wf/weights", value);
  expect(result.bytesTransmitted).toBeLessThan(12_000_000);
  const message = await subscription.next();
  expect(isSame(message, value)).toBe(true);
});

test("a large message that is being received goes on behind a cut", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(gateway.url);
  const reader = await connected(proxy.url, { clientId: "reader" });
  const subscription = await reader.subscribe("wf/weights");
  await proxy.cutAfter("TO_CLIENT", 5_000_000);
  const value = Float32Array.from({ length: 2_000_000 }, (_, index) => index);
  await publisher.publish("wf/weights", value);
  expect(isSame(await subscription.next(), value)).toBe(true);
  expect(await proxy.connected()).toBe(2);
  expect(subscription.counts).toMatchObject({ received: 1n, failed: 0n, dropped: 0n });
});

test("durable streams go on over a restart of the gateway, others begin anew", async () => {
  const store = ["--store", `sqlite:${folder()}/streams.db`];
  const gateway = await startGateway(...store);
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(proxy.url);
  const states: string[] = [];
  const reader = await connected(proxy.url, { clientId: "reader", onState: (state) => states.push(state) });
  const subscription = await reader.subscribe("wf/*");
  const seen: [string, bigint][] = [];
  const read = (async () => {
    for await (const { stream, offset } of subscription) {
      seen.push([stream, offset]);
    }
  })();
  const publish = async (number: number) => {
    const options = { kind: "event", durability: "fsync" } as const;
    await publisher.publish("wf/ledger", new Int32Array([number]), options);
    await publisher.publish("wf/trace", new Int32Array([number]), { kind: "event" });
  };
  await publish(0);
  await publish(1);
  // An acknowledged message need not have left for its receivers when the gateway is killed.
  await until(() => seen.length === 4);
  await gateway.stop("SIGKILL");
  const again = await startGateway(...store);
  await proxy.leadTo(again.url);
  // The new stream in memory has no past: its receiver has to be there first.
  await until(() => states.at(-1) === "connected" && states.includes("reconnecting"));
  await reader.account(subscription);
  await publish(2);
  await until(() => seen.filter(([stream]) => stream === "wf/trace").length >= 3);
  expect(seen.filter(([stream]) => stream === "wf/ledger").map(([, offset]) => offset)).toEqual([0n, 1n, 2n]);
  expect(seen.filter(([stream]) => stream === "wf/trace").map(([, offset]) => offset)).toEqual([0n, 1n, 0n]);
  await subscription.close();
  await read;
});

test("messages that a program has not acknowledged come again, and those that it has do not", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(gateway.url);
  const worker = await connected(proxy.url, { clientId: "worker" });
  const subscription = await worker.subscribe("wf/tasks");
  const seen: bigint[] = [];
  for (let number = 0; number < 10; number++) {
    await publisher.publish("wf/tasks", new Int32Array([number]), { kind: "collaboration" });
  }
  for (let number = 0; number < 10; number++) {
    seen.push((await subscription.next())?.offset ?? -1n);
    if (number % 4 === 1) {
      await proxy.cut();
      await until(() => worker.state === "connected");
    }
  }
  expect(seen).toEqual(Array.from({ length: 10 }, (_, number) => BigInt(number)));
  const refused = await worker.subscribe("wf/errands", { autoAck: false });
  await publisher.publish("wf/errands", new Int32Array([7]), { kind: "collaboration" });
  (await refused.next())?.nack();
  const again = await refused.next();
  expect([again?.offset, numberIn(again)]).toEqual([0n, 7]);
  again?.ack();
});

test("a program that comes later takes the client id, and the other one stays away", async () => {
  const gateway = await startGateway();
  const first = await connected(gateway.url, { clientId: "one", onError: () => undefined });
  const subscription = await first.subscribe("wf/*");
  const second = await connected(gateway.url, { clientId: "one" });
  await expect(subscription.next()).rejects.toThrow(expect.objectContaining({ code: Code.SUPERSEDED }));
  await expect(first.publish("wf/a", new Int8Array(1))).rejects.toThrow(ConnectionClosed);
  expect([first.state, second.state]).toEqual(["closed", "connected"]);
});

test("a paused network delays, and loses nothing", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(gateway.url);
  const reader = await connected(proxy.url, { clientId: "reader" });
  const states = await reader.subscribe("wf/pose");
  await proxy.hold("TO_CLIENT");
  for (let number = 0; number < 50; number++) {
    await publisher.publish("wf/pose", new Int32Array(20_000).fill(number));
  }
  await proxy.release("TO_CLIENT");
  let newest = -1;
  while (newest < 49) {
    const number = numberIn(await states.next());
    expect(number).toBeGreaterThan(newest);
    newest = number;
  }
  const { received, conflated } = states.counts;
  expect(received).toBeLessThanOrEqual(50n);
  expect(conflated).toBeGreaterThanOrEqual(0n);
  await until(async () => {
    const gateways = await reader.account(states);
    return JSON.stringify([...gateways], text) === JSON.stringify([...states.account], text);
  });
});

function text(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
