/**
 * Arrays of float32 received by a page in Chromium: by the client with its socket in a worker or in the page's thread, and by a
 * page that has a `WebSocket` and `Float32Array` by hand, or Socket.IO with its msgpack parser.
 *
 * By the client they come from a publisher through a gateway; by the others from a server, with no process in between.
 */

import { io } from "socket.io-client";
import * as parser from "socket.io-msgpack-parser";
import { inject, test } from "vitest";
import { commands } from "vitest/browser";
import { connect } from "../src/client.ts";
import type { Load } from "./commands.ts";

const SECONDS = 5;

/** Takes an array, and the time of its publish in ms since 1970 if it is known. */
type Received = (numbers: Float32Array, publishedMs?: number) => void;
type Receive = (load: Load, received: Received) => Promise<() => unknown>;

let runs = 0;

function byClient(worker: boolean): Receive {
  return async (load, received) => {
    const url = inject("url");
    const stream = `bench/${++runs}`;
    const client = await connect(url, { worker });
    await client.subscribe(stream, {
      onMessage: ({ tensor, timestampNs }) => received(tensor.data as Float32Array, Number(timestampNs) / 1e6),
    });
    void commands.publishLoad(url, stream, load);
    return () => client.close();
  };
}

const byHand: Receive = async (load, received) => {
  const socket = new WebSocket(await commands.plainLoad(load));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => received(new Float32Array(data));
  return () => socket.close();
};

const bySocketIo: Receive = async (load, received) => {
  const socket = io(await commands.socketIoLoad(load), { parser, transports: ["websocket"] });
  // Its bytes are a view of the whole message, at any place.
  socket.on("array", (bytes: ArrayBuffer | Uint8Array) => received(new Float32Array(new Uint8Array(bytes).buffer)));
  return () => socket.close();
};

const WAYS: Record<string, Receive> = {
  "client, worker": byClient(true),
  "client, page's thread": byClient(false),
  "by hand": byHand,
  "Socket.IO": bySocketIo,
};

/** Draw nothing once a frame, and note the time of each. */
function watchFrames(): { readonly gaps: number[]; stop(): void } {
  const gaps: number[] = [];
  let last = performance.now();
  let handle = requestAnimationFrame(function frame(now) {
    gaps.push(now - last);
    last = now;
    handle = requestAnimationFrame(frame);
  });
  return { gaps, stop: () => cancelAnimationFrame(handle) };
}

async function measure(way: string, load: Load): Promise<void> {
  let bytes = 0;
  let count = 0;
  let sum = 0;
  const ages: number[] = [];
  let [firstMs, lastMs] = [0, 0];
  let frames = watchFrames();
  let started: Promise<number> | undefined;
  let stop: () => unknown = () => undefined;
  await new Promise<void>((resolve) => {
    WAYS[way](load, (numbers, publishedMs) => {
      if (numbers.length === 1) {
        resolve();
        return;
      }
      if (!started) {
        frames.stop();
        frames = watchFrames();
        started = commands.workedS();
        firstMs = performance.now();
      }
      bytes += numbers.byteLength;
      count++;
      sum += numbers[0];
      lastMs = performance.now();
      if (publishedMs) {
        ages.push(performance.timeOrigin + lastMs - publishedMs);
      }
    }).then((end) => {
      stop = end;
    });
  });
  const worked = (await commands.workedS()) - ((await started) ?? 0);
  frames.stop();
  await stop();
  const seconds = (lastMs - firstMs) / 1000;
  const part = (values: number[], share: number) =>
    values.sort((a, b) => a - b)[Math.floor(share * (values.length - 1))]?.toFixed(1) ?? "";
  const { gaps } = frames;
  await commands.print(
    `| ${way} | ${(bytes / seconds / 1e6).toFixed(0)} | ${(count / seconds).toFixed(0)} | ` +
      `${((1000 * worked) / gaps.length).toFixed(2)} | ${part(gaps, 0.5)} | ${part(gaps, 0.95)} | ` +
      `${part(gaps, 1)} | ${part(ages, 0.5)} | ${part(ages, 0.99)} |${sum < 0 ? " " : ""}`,
  );
}

test.each([
  ["1 MB, as fast as it goes", { bytes: 1_000_000, hz: 0, seconds: SECONDS }],
  ["1 MB, 50 a second", { bytes: 1_000_000, hz: 50, seconds: SECONDS }],
  ["4 MB, 10 a second", { bytes: 4_000_000, hz: 10, seconds: SECONDS }],
  ["40 bytes, as fast as it goes", { bytes: 40, hz: 0, seconds: SECONDS }],
])(
  "%s",
  async (name, load) => {
    const frames = "main thread, ms a frame | gap of frames p50, ms | p95 | largest";
    await commands.print(`\n${name}\n\n| way | MB/s | arrays/s | ${frames} | publish to callback p50, ms | p99 |`);
    await commands.print("|---|---|---|---|---|---|---|---|---|");
    for (const way of Object.keys(WAYS)) {
      await measure(way, load);
    }
  },
  120_000,
);
