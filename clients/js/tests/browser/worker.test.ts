/** The socket is in a worker of a real browser: memory that goes to the page, frames, and pages that do not keep up. */

import { expect, inject, onTestFinished, test, vi } from "vitest";
import { commands } from "vitest/browser";
import { type Client, connect } from "../../src/client.ts";
import type { Message } from "../../src/messages/message.ts";
import type { ClientOptions } from "../../src/options.ts";
import { Tensor } from "../../src/protocol/tensors.ts";
import { SYSTEM_CLOCK } from "../../src/session/clock.ts";
import { SocketWires } from "../../src/session/socket_wire.ts";
import type { WebSocketType } from "../../src/session/web_sockets.ts";
import type { Report } from "../../src/worker/posts.ts";
import { startWorker } from "../../src/worker/start.ts";
import { WorkerWires } from "../../src/worker/worker_wires.ts";

const URL_OF_GATEWAY = inject("url");

async function connected(options: ClientOptions = {}): Promise<Client> {
  const client = await connect(URL_OF_GATEWAY, { clientType: "admin_panel", ...options });
  onTestFinished(() => client.close());
  return client;
}

function first(message: Message): number {
  return Number(message.tensor.data[0]);
}

/** Wait until a condition holds, for as long as a slow machine takes. */
function until(condition: () => boolean): Promise<boolean> {
  return vi.waitUntil(condition, { timeout: 30_000 });
}

/** Return the next animation frame. */
function nextFrame(): Promise<void> {
  return new Promise((resolve) => requestAnimationFrame(() => resolve()));
}

test.each([
  ["in a worker", undefined],
  ["in this thread", false],
])("messages arrive with the socket %s", async (_where, worker) => {
  const stream = `where-${worker}/field`;
  const client = await connected({ clientType: "agent", ...(worker !== undefined && { worker }) });
  const subscription = await client.subscribe(stream);
  await client.publish(stream, Tensor.from(Float32Array.of(1.5, 2), [1, 2]), {
    kind: "event",
    headers: { big: 2n ** 60n },
  });
  for await (const message of subscription) {
    expect([message.tensor.toNested(), message.headers, message.offset]).toEqual([[[1.5, 2]], { big: 2n ** 60n }, 0n]);
    break;
  }
});

test("the memory of a message goes to the page, and its tensor is in place", async () => {
  const notes: { buffers: number; before: number; after: number }[] = [];
  const wires = new WorkerWires(undefined, () => {
    const worker = new Worker(new URL("./watching_worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => "buffers" in data && notes.push(data));
    return worker;
  });
  const client = await connected({ wires });
  const messages: Message[] = [];
  await client.subscribe("memory/field", { onMessage: (message) => messages.push(message) });
  const publisher = await connected({ clientType: "agent" });
  // Floats at random do not get smaller: they come as they are.
  const numbers = Float32Array.from({ length: 100_000 }, () => Math.random());
  await publisher.publish("memory/field", numbers, { kind: "event" });
  await until(() => messages.length > 0 && notes.some(({ buffers }) => buffers > 0));
  const [{ tensor }] = messages;
  const [note] = notes.filter(({ buffers }) => buffers > 0);
  expect(tensor.data).toEqual(numbers);
  expect(tensor.bytes.byteOffset).toBeGreaterThan(0);
  expect(note).toEqual({ buffers: 1, before: tensor.bytes.buffer.byteLength, after: 0 });
});

test("latest hands over one value of a stream in a frame, and the newest", async () => {
  const client = await connected();
  let frame = 0;
  const seen: [frame: number, version: number][] = [];
  await client.subscribe("frames/field", {
    latest: true,
    onMessage: (message) => seen.push([frame, first(message)]),
  });
  const published = commands.publishStates(URL_OF_GATEWAY, "frames/field", { hz: 200, seconds: 1, shape: [1000] });
  while (seen.at(-1)?.[1] !== 200) {
    frame++;
    await nextFrame();
  }
  await published;
  const frames = seen.map(([number]) => number);
  expect(new Set(frames).size).toBe(frames.length);
  const versions = seen.map(([, version]) => version);
  expect(versions).toEqual([...versions].sort((a, b) => a - b));
  expect(seen.length).toBeLessThan(200);
});

test("a page that blocks its thread for 10 s has bounded memory, and then sees the newest version", async () => {
  const shape = [256, 256];
  let arrivedBytes = 0;
  const wires = new WorkerWires(undefined, () => {
    const worker = startWorker() as Worker;
    worker.addEventListener("message", ({ data }: MessageEvent<Report>) => {
      for (const item of data.report === "received" ? data.items : []) {
        arrivedBytes += "payload" in item ? item.payload.byteLength : 0;
      }
    });
    return worker;
  });
  const client = await connected({ wires });
  const versions: number[] = [];
  const subscription = await client.subscribe("blocked/field", {
    latest: true,
    onMessage: (message) => versions.push(first(message)),
  });
  const versionsOf = { hz: 60, seconds: 12, shape };
  const published = commands.publishStates(URL_OF_GATEWAY, "blocked/field", versionsOf);
  await until(() => versions.length > 5);
  const before = versions.length;
  arrivedBytes = 0;
  for (const end = performance.now() + 10_000; performance.now() < end; ) {
    // The thread is blocked.
  }
  const seenBefore = versions.at(-1) ?? 0;
  await until(() => versions.length > before);
  // As much has come meanwhile as the credits of the subscription allow.
  expect(arrivedBytes).toBeLessThanOrEqual(17 * 1024 * 1024);
  await published;
  await until(() => versions.at(-1) === 720);
  expect(versions.at(before)).toBeGreaterThan(seenBefore);
  const counts = (await client.account(subscription)).get("blocked/field");
  const conflated = { byGateway: Number(counts?.conflated), here: Number(counts?.client_conflated ?? 0n) };
  expect(conflated.byGateway).toBeGreaterThan(200);
  expect(Number(counts?.delivered) + conflated.byGateway).toBe(720);
  expect(versions).toHaveLength(720 - conflated.byGateway - conflated.here);
});

test("a hidden page, which has no frames, keeps one version, and goes on with the newest", async () => {
  const held: FrameRequestCallback[] = [];
  vi.stubGlobal("requestAnimationFrame", (callback: FrameRequestCallback) => held.push(callback));
  onTestFinished(() => void vi.unstubAllGlobals());
  const client = await connected();
  const versions: number[] = [];
  const subscription = await client.subscribe("hidden/field", {
    latest: true,
    onMessage: (message) => versions.push(first(message)),
  });
  await commands.publishStates(URL_OF_GATEWAY, "hidden/field", { hz: 100, seconds: 1, shape: [1000] });
  await until(() => subscription.counts.received + subscription.counts.conflated >= 100n);
  expect([versions, held.length, subscription.counts.bufferedBytes]).toEqual([[], 1, 4000]);
  held[0](performance.now());
  expect(versions).toEqual([100]);
});

test("a worker that cannot be started is an error that says so", async () => {
  const wires = new WorkerWires(
    undefined,
    () => new Worker(new URL("data:text/javascript,import '/none.js'"), { type: "module" }),
  );
  await expect(connect(URL_OF_GATEWAY, { wires })).rejects.toThrow("worker: false");
});

test("a page whose policy forbids the connection learns it at once", async () => {
  const frame = document.createElement("iframe");
  frame.srcdoc = `<meta http-equiv="content-security-policy" content="connect-src 'none'">`;
  const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
  document.body.append(frame);
  onTestFinished(() => frame.remove());
  await loaded;
  const { WebSocket } = frame.contentWindow as unknown as { WebSocket: WebSocketType };
  const wires = new SocketWires(SYSTEM_CLOCK, {}, WebSocket);
  const connecting = connect(URL_OF_GATEWAY, { wires, connectTimeoutMs: Number.POSITIVE_INFINITY });
  await expect(connecting).rejects.toThrow("connect-src");
});

test("a worker that has died does not keep its client from closing, and the next one has another", async () => {
  const workers: Worker[] = [];
  const wires = new WorkerWires(undefined, () => {
    const worker = startWorker() as Worker;
    workers.push(worker);
    return worker;
  });
  const client = await connected({ wires, closeTimeoutMs: 10 });
  workers[0].terminate();
  await client.close();
  expect(client.state).toBe("closed");
  await connected({ wires });
  expect(workers).toHaveLength(2);
});
