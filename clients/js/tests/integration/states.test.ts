/** States, views, slow programs and slow lines, with a real gateway. */

import { expect, onTestFinished, test } from "vitest";
import { type Client, connect } from "../../src/client.ts";
import { Code } from "../../src/errors.ts";
import type { ClientOptions } from "../../src/options.ts";
import type { Tensor } from "../../src/protocol/tensors.ts";
import type { StreamEnded } from "../../src/subscribing/subscription_position.ts";
import { CuttingProxy, startGateway, until } from "./gateway.ts";

async function connected(url: string, options: ClientOptions = {}): Promise<Client> {
  const client = await connect(url, { backoff: { baseMs: 5, capMs: 20 }, ...options });
  onTestFinished(() => client.close());
  return client;
}

function numbers(tensor: Tensor | undefined): number[] {
  return Array.from({ length: tensor?.size ?? 0 }, (_, index) => Number(tensor?.data[index]));
}

test("a patch arrives as the complete state, with the part that it has changed", async () => {
  const gateway = await startGateway();
  const client = await connected(gateway.url);
  const subscription = await client.subscribe("wf/field", { conflate: false });
  await client.publish(
    "wf/field",
    Int16Array.from({ length: 12 }, (_, index) => index),
    { shape: [3, 4] },
  );
  await client.publish("wf/field", Int16Array.of(-1, -2), { region: [-1, [null, null, 2]] });
  const [first, second] = [await subscription.next(), await subscription.next()];
  expect(numbers(second?.tensor)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, -1, 9, -2, 11]);
  expect(numbers(first?.tensor)[8]).toBe(8); // what the program holds never changes
  expect([second?.region?.map(({ start }) => start), second?.patch?.shape]).toEqual([
    [2n, 0n],
    [1, 2],
  ]);
  await expect(client.publish("wf/none", Int16Array.of(1), { region: [0] })).rejects.toThrow(
    expect.objectContaining({ code: Code.INVALID_REGION }),
  );
});

test("large states come as deltas, compressed in any way, and are those that were published", async () => {
  const gateway = await startGateway();
  const client = await connected(gateway.url);
  const reader = await connected(gateway.url);
  const subscription = await reader.subscribe("wf/weights", { conflate: false });
  const state = Float32Array.from({ length: 300_000 }, (_, index) => Math.sin(index / 1000));
  for (let version = 0; version < 12; version++) {
    state[version * 7] = version;
    await client.publish("wf/weights", state, { codec: version % 2 ? "lz4" : "none" });
    const message = await subscription.next();
    expect(Buffer.from(message?.tensor.bytes ?? []).equals(Buffer.from(state.buffer))).toBe(true);
  }
  expect(subscription.counts).toMatchObject({ received: 12n, failed: 0n });
});

test("views are a part of each message, in a smaller dtype, and one that cannot fit is refused", async () => {
  const gateway = await startGateway();
  const client = await connected(gateway.url);
  await client.publish("wf/field", Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7), { shape: [2, 4] });
  const rows = await client.subscribe("wf/field", { view: { slice: [1, [null, null, 2]] } });
  expect(numbers((await rows.next())?.tensor)).toEqual([4, 6]);
  const bytes = await client.subscribe("wf/field", { view: { dtype: "uint8" }, lower: { slice: [0] } });
  const message = await bytes.next();
  expect([message?.tensor.dtype, message?.quantization?.dtype_code]).toEqual(["uint8", 12]);
  numbers(message?.dequantized()).forEach((number, index) => {
    expect(number).toBeCloseTo(index, 1);
  });
  const wrong = client.subscribe("wf/field", { view: { slice: [0, 0, 0] } });
  await expect(wrong).rejects.toThrow(expect.objectContaining({ code: Code.INVALID_VIEW }));
});

test("a program that does not take its states holds a bounded number, and gets the newest when it is back", async () => {
  const gateway = await startGateway();
  const publisher = await connected(gateway.url);
  const page = await connected(gateway.url);
  const subscription = await page.subscribe("wf/**", { credits: { messages: 16, bytes: 1_000_000 }, conflate: false });
  for (let number = 0; number < 300; number++) {
    await publisher.publish("wf/pose", Int32Array.of(number), { kind: "state" });
    await publisher.publish("wf/log", new Int32Array(1000).fill(number), { kind: "event" });
  }
  expect(subscription.counts.bufferedBytes).toBeLessThanOrEqual(1_000_000);
  expect(subscription.counts.received).toBeLessThanOrEqual(16n);
  const newest = new Map<string, number>();
  const events: number[] = [];
  while (newest.get("wf/pose") !== 299 || events.length < 300) {
    const message = await subscription.next();
    const number = Number(message?.tensor.data[0]);
    newest.set(message?.stream ?? "", number);
    if (message?.stream === "wf/log") {
      events.push(number);
    }
  }
  expect(events).toEqual(Array.from({ length: 300 }, (_, number) => number));
  expect(subscription.account.get("wf/pose")?.conflated).toBeGreaterThan(200n);
  expect(await page.account(subscription)).toEqual(subscription.account);
});

test("versions that are conflated here are counted at both ends", async () => {
  const gateway = await startGateway();
  const publisher = await connected(gateway.url);
  const page = await connected(gateway.url);
  const subscription = await page.subscribe("wf/pose");
  for (let number = 0; number < 50; number++) {
    await publisher.publish("wf/pose", Int32Array.of(number), { kind: "state" });
  }
  await until(() => subscription.account.get("wf/pose")?.delivered === 50n);
  expect(Number((await subscription.next())?.tensor.data[0])).toBe(49);
  const account = await page.account(subscription);
  expect(account.get("wf/pose")).toMatchObject({ delivered: 50n, client_conflated: 49n });
  expect(account).toEqual(subscription.account);
});

test("record batches are complete, and messages of many names need not be opened by hand", async () => {
  const gateway = await startGateway();
  const client = await connected(gateway.url);
  const subscription = await client.subscribe("wf/**", { since: "beginning" });
  for (let number = 0; number < 1000; number++) {
    client.publishNowait("wf/signal", Float64Array.of(number, -number), { kind: "event" });
    client.publishNowait(`wf/part/${number % 50}`, Int8Array.of(number % 50), { kind: "event" });
  }
  await client.drain();
  let records = 0;
  let parts = 0;
  for await (const batch of subscription.batches()) {
    if (batch.stream === "wf/signal") {
      expect([batch.tensor.shape, batch.tensor.at(0, 0)]).toEqual([[batch.count, 2], records]);
      records += batch.count;
    } else {
      parts += batch.count;
    }
    if (records + parts === 2000) {
      break;
    }
  }
  expect([records, parts]).toEqual([1000, 1000]);
});

test("a deleted stream ends, and the next one of its name begins anew", async () => {
  const gateway = await startGateway();
  const client = await connected(gateway.url);
  const ended: StreamEnded[] = [];
  const subscription = await client.subscribe("wf/*", { onEnded: (end) => ended.push(end) });
  const first = await client.publish("wf/log", Int8Array.of(1), { kind: "event" });
  await subscription.next();
  expect(await client.delete("wf/*")).toEqual(["wf/log"]);
  const second = await client.publish("wf/log", Int8Array.of(2), { kind: "event" });
  expect([second.offset, second.epoch > first.epoch]).toEqual([0n, true]);
  expect((await subscription.next())?.epoch).toBe(second.epoch);
  expect(ended).toEqual([{ stream: "wf/log", epoch: first.epoch, reason: "deleted" }]);
  expect(subscription.account.get("wf/log")).toMatchObject({ delivered: 2n });
});

test("an observer gets every message once, and owes no answer", async () => {
  const gateway = await startGateway();
  const publisher = await connected(gateway.url, { clientId: "publisher" });
  const panel = await connected(gateway.url, { clientType: "admin_panel" });
  const subscription = await panel.subscribe("wf/*");
  await publisher.publish("wf/tasks", Int8Array.of(1), { kind: "collaboration" });
  const message = await subscription.next();
  expect([message?.observed, message?.kind]).toEqual([true, "collaboration"]);
  expect(() => message?.ack()).toThrow(/observe: false/);
});

test("a gateway that stops is left, and the client goes to the next one with all that waits", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const client = await connected(proxy.url);
  const subscription = await client.subscribe("wf/*");
  await client.publish("wf/log", Int8Array.of(1), { kind: "event" });
  await subscription.next();
  const next = await startGateway();
  await proxy.leadTo(next.url);
  await gateway.stop();
  const result = await client.publish("wf/log", Int8Array.of(2), { kind: "event" });
  expect([result.offset, Number((await subscription.next())?.tensor.data[0])]).toEqual([0n, 2]);
});

test("a slow line brings all events, and of a state versions up to the newest", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const publisher = await connected(gateway.url);
  const page = await connected(proxy.url);
  const subscription = await page.subscribe("slow/*");
  await proxy.pace("TO_CLIENT", 8_000_000);
  const publishing = (async () => {
    for (let number = 0; number < 60; number++) {
      publisher.publishNowait("slow/field", new Int32Array(100_000).fill(number), { kind: "state" });
      await publisher.publish("slow/log", Int32Array.of(number), { kind: "event" });
    }
    await publisher.publish("slow/field", new Int32Array(100_000).fill(60));
  })();
  const seen: Record<string, number[]> = { "slow/field": [], "slow/log": [] };
  for await (const { stream, tensor } of subscription) {
    seen[stream].push(Number(tensor.data[0]));
    if (seen["slow/field"].at(-1) === 60 && seen["slow/log"].length === 60) {
      break;
    }
  }
  await publishing;
  expect(seen["slow/log"]).toEqual(Array.from({ length: 60 }, (_, number) => number));
  expect(seen["slow/field"]).toEqual([...new Set(seen["slow/field"])].sort((a, b) => a - b));
  expect(await page.account(subscription)).toEqual(subscription.account);
  expect(await proxy.connected()).toBe(1);
});
